"""One page about one run: `report.html`, with every picture inside, and the same pictures for TensorBoard."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from gsda_tf.data.domain import evenly
from gsda_tf.evaluation import accuracy
from gsda_tf.files import disk_errors, write_atomically
from gsda_tf.reporting import figures, sections
from gsda_tf.reporting.embedding import MOST_POINTS, tsne
from gsda_tf.reporting.page import page
from gsda_tf.reporting.runs import Features, Run, beside, load_run

_MANY_CLASSES = 14
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

    def figure(name: str, made: figures.Figure | list[figures.Figure] | None, caption: str) -> str:
        panels = made if isinstance(made, list) else [made] if made else []
        for number, panel in enumerate(panels, start=1):
            pictures[name if len(panels) == 1 else f"{name}_{number}"] = figures.png(panel)
        shown = list(pictures.values())[len(pictures) - len(panels) :]
        return sections.picture(shown, caption, [round(125 * panel.get_figwidth()) for panel in panels])

    source_only = beside(run)
    yield sections.summary(run, source_only)
    if run.probabilities is not None and not run.labelled:
        yield from _unlabelled_section(run, figure, source_only)
    yield sections.training(run, figure, source_only)
    yield from _feature_section(run, figure)
    if run.probabilities is not None and run.labelled:
        yield from _target_section(run, figure, source_only)
    yield sections.choice(run, figure)
    yield sections.synchronization(run, figure)
    yield sections.groups(run)
    yield sections.settings(run)


def _unlabelled_section(run: Run, figure, source_only: Run | None) -> Iterator[str]:
    """What can be said of a target without labels: what the model says, and how sure it is."""
    names, predictions = run.class_names, run.probabilities.argmax(axis=1)
    scores = run.probabilities.max(axis=1)
    predicted = np.bincount(predictions, minlength=len(names))
    counts = run.evaluation.get("source_counts", np.zeros(len(names)))
    unused = [name for name, count in zip(names, predicted) if not count]
    yield sections.unlabelled(len(predictions), len(names), unused)
    shares = figure(
        "predicted_classes",
        figures.predicted_classes(predicted, counts, names),
        "A class that is said much more often than the source has it may be what the model says when it does not know; "
        "or the target has more of it.",
    )
    histogram = figure(
        "scores",
        figures.scores(scores),
        f"Median {np.median(scores):.2f}; {sections.percent(float((scores >= 0.9).mean()))} of the images have a score "
        "of 0.9 or more. A score is no probability of being right: adapted models are sure of their mistakes, too.",
    )
    yield f"<div class='pair'><div>{shares}</div><div>{histogram}</div></div>"
    yield sections.thumbnails("Surest images, one a class", "", _kept(run, "sure"))
    yield sections.thumbnails(
        "Least sure images", "Look here first: what belongs to none of the classes gathers here.", _kept(run, "unsure")
    )
    other = source_only.probabilities if source_only else None
    if other is not None and other.shape == run.probabilities.shape:
        before = other.argmax(axis=1)
        moved = np.zeros((len(names), len(names)), np.int64)
        np.add.at(moved, (before, predictions), 1)
        yield sections.disagreement(moved, names)


def _kept(run: Run, kind: str) -> list[sections.Thumbnail]:
    """Images that the evaluation kept: of the kinds "mistake", "sure", "unsure"."""
    indices = run.evaluation.get(f"{kind}_indices", ())
    files = run.evaluation.get(f"{kind}_names", [f"image {i}" for i in indices])
    found = []
    for image, index, file in zip(run.evaluation.get(f"{kind}_images", ()), indices, files):
        label, says = run.target_labels[index], run.probabilities[index]
        true = run.class_names[label] if label >= 0 else None
        predicted = run.class_names[says.argmax()]
        found.append(sections.Thumbnail(image, str(file), true, predicted, float(says.max())))
    return found


def _feature_section(run: Run, figure) -> Iterator[str]:
    kept = {"before": run.features(before=True), "after": run.features()}
    kept = {when: features for when, features in kept.items() if features is not None}
    if not kept:
        return
    newest = list(kept.values())[-1]
    source, target = evenly(len(newest.source), MOST_POINTS), evenly(len(newest.target), MOST_POINTS)
    panels = [
        (
            f"{when.capitalize()} training"
            + (f" (A-distance {run.distances[when]:.2f})" if when in run.distances else ""),
            *_embedded(features, source, target),
        )
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


def _target_section(run: Run, figure, source_only: Run | None) -> Iterator[str]:
    """Per class, confusion, mistakes; only images with a label count."""
    labels, names = run.target_labels, run.class_names
    with_label = labels >= 0
    predictions = run.probabilities.argmax(axis=1)
    counts = accuracy.confusion_matrix(predictions[with_label], labels[with_label], len(names))
    values = accuracy.per_class_accuracy(predictions[with_label], labels[with_label], len(names))
    sizes, reference = counts.sum(axis=1), None
    if source_only is not None and np.array_equal(source_only.target_labels, labels):
        other = source_only.probabilities.argmax(axis=1)
        reference = accuracy.per_class_accuracy(other[with_label], labels[with_label], len(names))
    bars = figure(
        "per_class",
        figures.per_class(values, sizes, names, reference),
        "Accuracy of each class; in brackets its number of images."
        + (" Ticks: source only." if reference is not None else ""),
    )
    matrix = figures.confusion(counts, names)
    shown = figure("confusion", matrix, "Each row: what the images of a class were taken for.")
    if matrix is None:
        shown = f"<p class='quiet'>The matrix of {len(names):,} classes is left out: nobody could read it.</p>"
    commonest, below = sections.confusions(counts, names), ""
    if len(names) > _MANY_CLASSES:
        left, right, below = bars, commonest, shown
    else:
        left, right = bars + commonest, shown
    pair = f"<div class='pair'><div>{left}</div><div>{right}</div></div>"
    yield f"<h2>Target, class by class</h2>{sections.outside(counts)}{sections.numbered(names)}{pair}{below}"
    lead = "What the model said, what the label says, how sure the model was. Labels err too."
    yield sections.thumbnails("Most confident mistakes", lead, _kept(run, "mistake"))


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
