"""One page about one run: `report.html`, with every picture inside, and the same pictures for TensorBoard."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from gsda_tf import methods
from gsda_tf.data.domain import evenly
from gsda_tf.errors import UserError
from gsda_tf.evaluation import accuracy, selection
from gsda_tf.files import disk_errors, printable, write_atomically
from gsda_tf.progress import seconds
from gsda_tf.reporting import figures
from gsda_tf.reporting.embedding import MOST_POINTS, tsne
from gsda_tf.reporting.names import shown, undrawable
from gsda_tf.reporting.page import Panel, panel, percent, png_uri, render
from gsda_tf.reporting.runs import Features, LoggedRun, beside, load_run, source_only_folder
from gsda_tf.tables import Table

_PHOTOGRAPH = 48
"""Pixels of the longer side from which an image is enlarged smoothly; a smaller one shows its pixels."""
_SATURATED = 0.9995
"""Scores from here on are shown as 100.0 %."""


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
    report = _Report(run, beside(run))
    path = os.path.join(workdir, "report.html")
    title = f"{run.task} · {run.settings['method']} · seed {run.settings['seed']}"
    write_atomically(path, render("run.html", title=title, run=run, **report.values()))
    _write_tensorboard(run, report.pictures)
    return path


class _Report:
    """Computes what the template shows.

    Args:
      run: that the page is about.
      source_only: the same without alignment; None if there is none.

    Attributes:
      pictures: PNG files by name, of all figures that were drawn.
    """

    def __init__(self, run: LoggedRun, source_only: LoggedRun | None):
        self._run, self._source_only = run, source_only
        self.pictures: dict[str, bytes] = {}

    def values(self) -> dict[str, Any]:
        """Computes all values of the template, in the order of the page."""
        run, other = self._run, self._source_only
        summary = run.summary or {}
        evaluated = selection.evaluations(run.lines)
        keys = {key for line in run.lines for key in line}
        known, labelled = run.probabilities is not None, run.labelled
        offers = run.summary and other is None and run.settings["method"] != "source_only"
        return {
            "about": self._about(),
            "share": round(100 * run.step / run.steps),
            "evaluated": bool(evaluated),
            "chosen": summary.get("choice"),
            "cautions": (*summary.get("doubts", ()), *summary.get("warnings", ())),
            "cards": self._cards(evaluated),
            "offered": source_only_folder(run.workdir) if offers else None,
            **(self._unlabelled() if known and not labelled else {"unlabelled": None, "sure": (), "unsure": ()}),
            "unsure_lead": self._unsure_lead(),
            "losses": self._draw("losses", figures.losses(run.lines)),
            "accuracies": self._draw("accuracies", figures.accuracies(run.lines, other.lines if other else ())),
            "still": _still(evaluated),
            "has_entropy": "loss/entropy" in keys,
            "discriminators": self._draw("discriminators", figures.discriminators(run.lines)),
            **self._features(),
            "target": self._target() if known and labelled else None,
            "mistakes": self._thumbnails("mistake") if known and labelled else (),
            "label_free": self._draw("label_free", figures.label_free(run.lines)),
            "choice": self._choice(evaluated) if evaluated else None,
            "synchronization": self._draw("synchronization", figures.synchronization(run.lines)),
            "settings": Table(("setting", "value"), [(f"--{n}", _value(v)) for n, v in run.settings.items()], (0, 1)),
            "versions": self._versions(),
        }

    def _draw(self, name: str, drawn: list[figures.Figure]) -> list[Panel]:
        names = [name if len(drawn) == 1 else f"{name}_{number}" for number, _ in enumerate(drawn, start=1)]
        self.pictures.update(zip(names, map(figures.png, drawn)))
        return [panel(figure, self.pictures[name]) for name, figure in zip(names, drawn)]

    def _about(self) -> str:
        settings = self._run.settings
        method = methods.title(self._run.summary["method"] if self._run.summary else settings["method"])
        place = settings.get("train_from")
        frozen = ", frozen" if settings.get("freeze_backbone") else f", trained from {place}" if place else ""
        return f"{method}. {settings['extractor']}{frozen}, {settings['image_size']} px."

    def _cards(self, evaluated: list) -> list[tuple[str, str, str]]:
        """(number, what it is, kind) of each: what the reader came for."""
        run, summary = self._run, self._run.summary
        latest = summary or (evaluated[-1] if evaluated else {})
        unlabelled = bool(latest) and latest.get("accuracy/target") is None
        keys = sorted(selection.SCORES.values(), key=lambda key: key != run.score_key)
        cards = []
        for key in keys:
            shown_score, _, by = accuracy.told(latest, key).partition(" (")
            number = shown_score if unlabelled or latest.get("target_sample") else percent(latest.get(key))
            cards.append((number, f"{key} ({by}" if by else key, "main" if key == run.score_key else ""))
        images = "held-out images" if run.settings.get("holdout") else "the images that it was trained on"
        cards.append((percent(latest.get("accuracy/source")), f"accuracy/source, of {images}", ""))
        other = self._source_only.summary.get(run.score_key) if self._source_only else None
        if summary and not unlabelled and other is not None:
            gain = 100 * (summary[run.score_key] - other)
            against, plain = f"against source only, {percent(other)}", self._source_only
            sampled = summary.get("target_sample") and run.labelled and run.score_key == "accuracy/target"
            if sampled and np.array_equal(run.target_labels, plain.target_labels):
                known = run.target_labels >= 0
                right = [each.predictions[known] == run.target_labels[known] for each in (run, plain)]
                low, high = accuracy.difference(*right)[1:]
                against += f"; 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
            cards.insert(1, (f"{gain:+.1f} points", against, ""))
        if run.distances:
            told = " → ".join(f"{value:.2f}" for value, _ in run.distances.values())
            spread = max((spread for _, spread in run.distances.values() if spread is not None), default=None)
            give = "" if spread is None else f"; ± {spread:.2f} from one half of the images to another"
            cards.append((told, f"score/a_distance, {' and '.join(run.distances)}{give}", ""))
        cards.append((f"{run.step:,}", f"of {run.steps:,} steps", ""))
        if summary:
            cards.append((seconds(summary["wall_seconds"]), f"{summary['images_per_second']:.0f} images/s", ""))
        return cards

    def _unlabelled(self) -> dict[str, Any]:
        """Describes a target without labels: what the model says, and how sure it is."""
        run, names = self._run, self._run.class_names
        predictions, scores = run.predictions, run.probabilities.max(axis=1)
        predicted = np.bincount(predictions, minlength=len(names))
        counts = run.evaluation.get("source_counts", np.zeros(len(names)))
        shares = figures.predicted_classes(predicted, counts, names)
        told = {
            "images": len(predictions),
            "unused": [name for name, count in zip(names, predicted) if not count],
            "shares": self._draw("predicted_classes", [shares]),
            "scores": self._draw("scores", [figures.scores(scores)]),
            "median": f"{np.median(scores):.2f}",
            "sure_share": float((scores >= 0.9).mean()),
            "moved": self._moved(),
        }
        return {"unlabelled": told, "sure": self._thumbnails("sure"), "unsure": self._thumbnails("unsure")}

    def _moved(self) -> dict[str, Any] | None:
        """Describes where this run and source only differ."""
        other, run = self._source_only, self._run
        if other is None or other.probabilities is None or other.probabilities.shape != run.probabilities.shape:
            return None
        counts = accuracy.confusion_matrix(run.predictions, other.predictions, len(run.class_names))
        images = int(counts.sum() - np.trace(counts))
        table = _confusions(counts, run.class_names, ("source only says", "this run says", "images"))
        return {"images": images, "share": images / counts.sum(), "table": table}

    def _agreement(self) -> tuple[np.ndarray, str] | None:
        """Returns how far others agree with each answer, 0..1 [nt], and who they are; None if there are none."""
        run, other = self._run, self._source_only
        if "target_agreement" in run.evaluation:
            return run.evaluation["target_agreement"], "agreement"
        if other is None or other.probabilities is None or other.probabilities.shape != run.probabilities.shape:
            return None
        return other.probabilities[np.arange(len(run.predictions)), run.predictions], "by source only"

    def _unsure_lead(self) -> str:
        lead = "Look here first: what belongs to none of the classes gathers here."
        scores = () if self._run.probabilities is None else self._run.probabilities.max(axis=1)
        if not len(scores) or min(scores) < _SATURATED:
            return lead
        said = "All scores are 100.0 %, which tells no image from another. "
        if self._agreement() is None:
            return said
        whose = "" if self._agreement()[1] == "agreement" else " with source only"
        return f"{said}Sorted by agreement{whose} instead. {lead}"

    def _thumbnails(self, kind: str) -> list[dict[str, Any]]:
        """Shows images that the evaluation kept: of the kinds "mistake", "sure", "unsure"."""
        run, agreement = self._run, self._agreement() if kind == "unsure" else None
        indices = run.evaluation.get(f"{kind}_indices", ())
        files = run.evaluation.get(f"{kind}_names", [f"image {i}" for i in indices])
        kept = list(zip(run.evaluation.get(f"{kind}_images", ()), indices, files))
        if agreement and all(run.probabilities[index].max() >= _SATURATED for _, index, _ in kept):
            kept.sort(key=lambda each: agreement[0][each[1]])
        found = []
        for image, index, file in kept:
            label, score = run.target_labels[index], run.probabilities[index].max()
            out = io.BytesIO()
            Image.fromarray(image).save(out, "PNG")
            other = f", {100 * agreement[0][index]:.0f} % {agreement[1]}" if agreement else ""
            found.append(
                {
                    "uri": png_uri(out.getvalue()),
                    "kind": "pixels" if max(image.shape[:2]) < _PHOTOGRAPH else "photograph",
                    "file": str(file),
                    "true": run.class_names[label] if label >= 0 else None,
                    "predicted": run.class_names[run.predictions[index]],
                    "sure": f"{100 * score:.1f} % sure{other}",
                }
            )
        return found

    def _features(self) -> dict[str, Any]:
        """Draws features in the plane, before and after training."""
        run = self._run
        kept = {"before": run.features(before=True), "after": run.features()}
        kept = {when: features for when, features in kept.items() if features is not None}
        if not kept:
            return {"features": (), "colours": ""}
        newest = list(kept.values())[-1]
        source, target = evenly(len(newest.source), MOST_POINTS), evenly(len(newest.target), MOST_POINTS)
        panels = []
        for when, features in kept.items():
            distance = f" (A-distance {run.distances[when][0]:.2f})" if when in run.distances else ""
            panels.append((f"{when.capitalize()} training{distance}", *_embedded(features, source, target)))
        labels = newest.target_labels[target]
        drawn = figures.embedding(panels, newest.source_labels[source], labels, run.class_names)
        if (labels >= 0).all():
            colours = "A target image is coloured by its true class."
        elif run.probabilities is None:
            colours = "Target images are grey until the run ends."
        else:
            colours = (
                "Target images without a label are grey: coloured by the classes that the model predicts, which are "
                "made of these very features, they would lie well whatever they show."
            )
        return {"features": self._draw("features", drawn), "colours": colours}

    def _target(self) -> dict[str, Any]:
        """Describes the target class by class: accuracy and confusions; only images with a label count."""
        run, names = self._run, self._run.class_names
        known = run.target_labels >= 0
        labels, predictions = run.target_labels[known], run.predictions[known]
        counts = accuracy.confusion_matrix(predictions, labels, len(names))
        values, reference, other = accuracy.per_class_accuracy(predictions, labels, len(names)), None, self._source_only
        if other is not None and np.array_equal(other.target_labels, run.target_labels):
            reference = accuracy.per_class_accuracy(other.predictions[known], labels, len(names))
        present = counts.sum(axis=1) > 0
        matrix = figures.confusion(counts, names)
        numbered = [(shown(name, k), name) for k, name in enumerate(names) if undrawable(printable(name))]
        return {
            "bars": self._draw("per_class", [figures.per_class(values, counts.sum(axis=1), names, reference)]),
            "compared": reference is not None,
            "matrix": self._draw("confusion", [matrix]) if matrix else [],
            "commonest": _confusions(counts, names, ("true class", "most often taken for", "images")),
            "present": int(present.sum()),
            "outside": float(counts[:, ~present].sum() / counts.sum()),
            "undrawable": Table(("in pictures", "name"), numbered, (0, 1)),
        }

    def _choice(self, evaluated: list) -> Table:
        """Tells what each criterion would have selected."""
        run, labelled = self._run, evaluated[-1].get("accuracy/target") is not None
        keys = ("accuracy/source", *(selection.SCORES.values() if labelled else ()))

        def row(title: str, step: int, note: str = "") -> tuple[str, ...]:
            line = selection.at_step(run.lines, step)
            return (title, f"{step:,}", *(percent(line.get(key)) for key in keys), note)

        rows, marked = [], []
        exported = "exported" if (run.summary or {}).get("export_dir") else "selected, not exported"
        for name, criterion in selection.CRITERIA.items():
            with contextlib.suppress(UserError):  # a score that was never logged
                used = exported if name == run.settings["select"] and run.summary else ""
                rows.append(row(criterion.title, selection.best(run.lines, name), used))
        if labelled:
            marked = [len(rows)]
            best = selection.oracle(run.lines, run.score_key)
            rows.append(row("oracle", best, "looks at target labels: never a result"))
        return Table(("chosen by", "step", *keys, ""), rows, (0, -1), marked)

    def _versions(self) -> Table | None:
        summary = self._run.summary
        if summary is None:
            return None
        rows = [*summary.get("versions", {}).items(), ("weights (SHA-256)", summary["weights_sha256"])]
        return Table(("of", "version"), rows, (0, 1))


def _still(evaluated: list) -> str:
    """Says which accuracies are no curves: those that stayed where they were, or were evaluated once."""
    told = []
    for key in ("accuracy/source", *selection.SCORES.values()):
        values = {line[key] for line in evaluated if line.get(key) is not None}
        if len(values) == 1 and len(evaluated) > 1:
            told.append(f"{key} is {percent(values.pop())} at every evaluation.")
    if len(evaluated) == 1:
        told = [f"Evaluated once in training, at step {evaluated[0]['step']:,}: the numbers above are those."]
    return " ".join(told)


def _confusions(counts: np.ndarray, names: tuple[str, ...], head: tuple[str, ...], most: int = 8) -> Table:
    """The commonest mistakes of a confusion matrix, int [r, r]."""
    wrong = counts - np.diag(np.diag(counts))
    order = [i for i in np.argsort(-wrong, axis=None, kind="stable")[:most] if wrong.flat[i]]
    places = [np.unravel_index(i, counts.shape) for i in order]
    rows = [(names[true], names[taken], f"{wrong[true, taken]} of {counts[true].sum()}") for true, taken in places]
    return Table(head, rows, (0, 1))


def _embedded(features: Features, source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return tsne(features.source[source], features.target[target])


def _value(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _write_tensorboard(run: LoggedRun, pictures: dict[str, bytes]) -> None:
    """Writes to a folder of its own, so that a run that is still going keeps its file to itself."""
    above = os.path.join(run.workdir, "tensorboard")
    if os.path.islink(above):
        raise UserError(f"{above} is a symbolic link, and nothing is written through one: remove the link.")
    folder = os.path.join(above, "report")
    with disk_errors(f"writing {folder}"):
        shutil.rmtree(folder, ignore_errors=True)
        writer = tf.summary.create_file_writer(folder)
        with writer.as_default(step=run.step):
            for name, data in pictures.items():
                tf.summary.image(f"report/{name}", tf.io.decode_png(data, channels=3)[None])
        writer.close()
