"""One page about one run: `report.html`, with every picture inside, and the same pictures for TensorBoard."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from gsda_tf.data.subset import evenly
from gsda_tf.evaluation import accuracy
from gsda_tf.evaluation.unsupervised import a_distance
from gsda_tf.files import disk_errors, write_atomically
from gsda_tf.reporting import figures, sections
from gsda_tf.reporting.embedding import MOST_POINTS, tsne
from gsda_tf.reporting.page import page
from gsda_tf.reporting.runs import Features, Run, load_run

_MANY_CLASSES = 14
"""With more, the bars are taller than the matrix, and the table goes below the matrix."""
_TOO_MANY_CLASSES = 35
"""With more, the matrix needs the width of the page."""


def write_report(workdir: str) -> str:
    """Writes `report.html` of a run, finished or still going, and its pictures to TensorBoard.

    Args:
      workdir: of the run.

    Returns:
      Path of the page.

    Raises:
      UserError: there is no run in the folder, or it cannot be written.
    """
    run = load_run(workdir)
    pictures: dict[str, bytes] = {}
    body = "\n".join(_sections(run, pictures))
    path = os.path.join(workdir, "report.html")
    write_atomically(path, page(f"{run.task} · {run.settings['method']} · seed {run.settings['seed']}", body))
    _write_tensorboard(run, pictures)
    return path


def _sections(run: Run, pictures: dict[str, bytes]) -> Iterator[str]:
    """The page from top to bottom; leaves each picture in `pictures` by name."""

    def figure(name: str, made: figures.Figure | None, caption: str) -> str:
        if made is None:
            return ""
        pictures[name] = figures.png(made)
        return sections.picture(pictures[name], caption, width=round(100 * made.get_figwidth()))

    distances = _distances(run)
    yield sections.summary(run, distances)
    yield sections.training(run, figure)
    yield from _feature_section(run, figure, distances)
    if run.probabilities is not None and run.labelled:
        yield from _target_section(run, figure)
    yield sections.choice(run, figure)
    yield sections.groups(run)
    yield sections.settings(run)


def _distances(run: Run) -> dict[str, float]:
    """Proxy A-distance before and after training, where features were kept."""
    kept = {"before": run.features(before=True), "after": run.features()}
    return {when: a_distance(f.source, f.target) for when, f in kept.items() if f is not None}


def _feature_section(run: Run, figure, distances: dict[str, float]) -> Iterator[str]:
    kept = {"before": run.features(before=True), "after": run.features()}
    kept = {when: features for when, features in kept.items() if features is not None}
    if not kept:
        return
    newest = list(kept.values())[-1]
    source, target = evenly(len(newest.source), MOST_POINTS), evenly(len(newest.target), MOST_POINTS)
    panels = [
        (f"{when.capitalize()} training (A-distance {distances[when]:.2f})", *_embedded(features, source, target))
        for when, features in kept.items()
    ]
    known = newest.target_labels[target] >= 0
    classes = np.where(known, newest.target_labels[target], newest.target_predictions[target])
    made = figures.embedding(panels, newest.source_labels[source], classes, run.class_names)
    colour = "its true class" if known.all() else "the class that the model predicts, as its label is not known"
    if (classes < 0).any():
        colour = "no class (grey) until the run ends"
    caption = (
        "t-SNE of the features. Colour is the class, shape the domain. Well adapted, triangles lie in the clouds of "
        f"their own colour. A target image is coloured by {colour}. Distances between clouds mean little."
    )
    yield "<h2>Features</h2>" + figure("features", made, caption)


def _embedded(features: Features, source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return tsne(features.source[source], features.target[target])


def _target_section(run: Run, figure) -> Iterator[str]:
    """Per class, confusion, mistakes; only images with a label count."""
    labels, names = run.target_labels, run.class_names
    with_label = labels >= 0
    predictions = run.probabilities.argmax(axis=1)
    counts = accuracy.confusion_matrix(predictions[with_label], labels[with_label], len(names))
    values = accuracy.per_class_accuracy(predictions[with_label], labels[with_label], len(names))
    sizes = counts.sum(axis=1)
    bars = figure(
        "per_class",
        figures.per_class(values, sizes, names),
        "Accuracy of each class; in brackets its number of images.",
    )
    matrix = figures.confusion(counts, names)
    shown = figure("confusion", matrix, "Each row: what the images of a class were taken for.")
    if matrix is None:
        shown = f"<p class='quiet'>The matrix of {len(names):,} classes is left out: nobody could read it.</p>"
    commonest, below = sections.confusions(counts, names), ""
    if len(names) > _TOO_MANY_CLASSES:
        left, right, below = bars, commonest, shown
    elif (sizes > 0).sum() > _MANY_CLASSES:
        left, right = bars, shown + commonest
    else:
        left, right = bars + commonest, shown
    pair = f"<div class='pair'><div>{left}</div><div>{right}</div></div>"
    yield f"<h2>Target, class by class</h2>{sections.outside(counts)}{sections.numbered(names)}{pair}{below}"
    images = run.evaluation.get("mistake_images", ())
    wrong = run.evaluation.get("mistake_indices", ())
    shown = [
        sections.Mistake(image, int(i), names[labels[i]], names[predictions[i]], float(run.probabilities[i].max()))
        for image, i in zip(images, wrong)
    ]
    yield sections.mistakes(shown)


def _write_tensorboard(run: Run, pictures: dict[str, bytes]) -> None:
    """In a folder of its own, so that a run that is still going keeps its file to itself."""
    folder = os.path.join(run.workdir, "tensorboard", "report")
    with disk_errors(f"writing {folder}"):
        shutil.rmtree(folder, ignore_errors=True)
        writer = tf.summary.create_file_writer(folder)
        with writer.as_default(step=run.step):
            for name, data in pictures.items():
                tf.summary.image(f"report/{name}", tf.io.decode_png(data, channels=3)[None])
        writer.close()
