"""One page about one run: `report.html`, with every picture inside. Its words and its layout stand in `templates`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from gsda_tf import methods
from gsda_tf.choosing.criteria import CRITERIA
from gsda_tf.errors import shown
from gsda_tf.evaluation import accuracy, selection
from gsda_tf.files import write_atomically
from gsda_tf.reporting import embedding, figures
from gsda_tf.reporting.figures import legible, undrawable
from gsda_tf.reporting.page import panels, percent, render, thumbnail
from gsda_tf.reporting.runs import LoggedRun, beside, load_run, source_only_folder
from gsda_tf.runs.contents import as_written, read_choice
from gsda_tf.tables import MISSING, Table

_SATURATED = 0.9995
"""Scores from here on are shown as 100.0 %."""


def write_report(workdir: str) -> str:
    """Writes `report.html` of a run, finished or still going.

    Args:
      workdir: of the run.

    Returns:
      Path of the page.

    Raises:
      UserError: there is no run in the folder, or it cannot be written.
    """
    run = load_run(workdir)
    path = os.path.join(workdir, "report.html")
    title = f"{run.task} · {run.settings['method']} · seed {run.settings['seed']}"
    with as_written(workdir):
        page = render("run.html", title=title, run=run, **_values(run, beside(run)))
    write_atomically(path, page)
    return path


def main_pictures(workdir: str) -> list[tuple[str, int]]:
    """Draws accuracy over the steps, and the target class by class, of a finished run; returned as by `panels`."""
    run = load_run(workdir)
    plain = beside(run)
    drawn = panels(figures.curves(run.lines, plain.lines if plain else ())["accuracies"])
    if run.labelled:
        return [*drawn, *_target(run, plain)["bars"]]
    return [*drawn, *_unlabelled(run, plain)["shares"]] if run.probabilities is not None else drawn


def _values(run: LoggedRun, source_only: LoggedRun | None) -> dict[str, Any]:
    """Computes what the template shows; `source_only` is the same run without alignment, if there is one."""
    summary, evaluated = run.summary or {}, selection.evaluations(run.lines)
    drawn = figures.curves(run.lines, source_only.lines if source_only else ())
    return {
        **{name: panels(each) for name, each in drawn.items()},
        "method": methods.title(summary.get("method", run.settings["method"])),
        "evaluated": evaluated,
        "reported": ("accuracy/source", *selection.SCORES.values()),
        "scores": _scores(run, summary or (evaluated[-1] if evaluated else {})),
        "gain": _gain(run, source_only),
        "offered": source_only_folder(run.workdir),
        # Nor is it offered where there is no source.
        "compared": source_only is not None
        or run.settings["method"] == "source_only"
        or summary.get("accuracy/source") is None,
        "features": panels(embedding.draw(run)),
        "grey": "target_indices" in run.evaluation and (run.feature_labels[1] < 0).any(),
        "shares": _shares(run),
        "chosen": read_choice(run.workdir),
        "criteria": {"score": "score", **CRITERIA, "labels": "right"},
        "target": _target(run, source_only) if run.labelled else None,
        "unlabelled": None if run.labelled or run.probabilities is None else _unlabelled(run, source_only),
    }


def _scores(run: LoggedRun, latest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns (number, what it is) of the accuracies, the one that is reported first."""
    found = []
    keys = ["accuracy/target", "accuracy/target_mean_class", *(key for key in accuracy.OPEN if key in latest)]
    keys.sort(key=lambda key: key != run.score_key)
    for key in keys[:1] if latest and latest.get(run.score_key) is None else keys:
        told, _, by = accuracy.told(latest, key).partition(" (")
        exact = latest.get(key) is not None and not latest.get("target_sample")
        found.append((percent(latest[key]) if exact else told if latest else MISSING, f"{key} ({by}" if by else key))
    each = "".join(f"; {name} {percent(value)}" for name, value in latest.get("accuracy_by_source", {}).items())
    if latest.get(run.score_key) is None and "estimate/value" in latest:
        value, low, high = (percent(latest.get(f"estimate/{of}")) for of in ("value", "low", "high"))
        found = [(value, f"of the target probably right, {low} to {high}: an estimate, no label was there")]
    held = latest.get("source_scored") == "held-out"
    of = "images that were held out" if held else "the images that it was trained on"
    return [*found, (percent(latest.get("accuracy/source")), f"accuracy/source, of {of}{each}")]


def _gain(run: LoggedRun, plain: LoggedRun | None) -> tuple[str, str] | None:
    """Returns how much better a finished run is than source only, and the interval where a sample scored both."""
    ours, theirs = (((each and each.summary) or {}).get(run.score_key) for each in (run, plain))
    if ours is None or theirs is None:
        return None
    against = f"against source only, {percent(theirs)}"
    known = run.target_labels >= 0 if run.labelled else None
    sampled = run.summary.get("target_sample") and run.score_key == "accuracy/target" and known is not None
    if sampled and np.array_equal(run.target_labels, plain.target_labels):
        right = [each.predictions[known] == run.target_labels[known] for each in (run, plain)]
        _, low, high = accuracy.difference(*right)
        against += f"; 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    return f"{100 * (ours - theirs):+.1f} points", against


def _unlabelled(run: LoggedRun, other: LoggedRun | None) -> dict[str, Any]:
    """Describes a target without labels: what the model says, how sure it is, and where source only says another."""
    names, scores = run.class_names, run.probabilities.max(axis=1)
    comparable = other is not None and other.probabilities is not None
    comparable = comparable and other.probabilities.shape == run.probabilities.shape
    predicted = np.bincount(run.predictions, minlength=len(names))
    sources = run.evaluation.get("source_counts", np.zeros(len(names)))
    said, had = (counts / max(counts.sum(), 1) for counts in (predicted, sources))
    order = np.argsort(-np.abs(said - had), kind="stable")[: figures.MOST_BARS]
    order = order[np.argsort(-said[order], kind="stable")]
    shares = {"target, as predicted": said[order], "source, as labelled": had[order]}
    title = "Share of each class" if len(order) == len(names) else f"The {len(order)} classes whose shares differ most"
    labels = np.array(legible(names))[order]
    agreement, whose = run.evaluation.get("target_agreement"), "agreement"
    if agreement is None and comparable:
        agreement, whose = other.probabilities[np.arange(len(scores)), run.predictions], "by source only"
    moved = accuracy.confusion_matrix(run.predictions, other.predictions, len(names)) if comparable else None
    return {
        "unused": [name for name, count in zip(names, predicted) if not count],
        "shares": panels([figures.bars(title, "percent of the domain's images", labels, shares)]),
        "median": float(np.median(scores)),
        "sure_share": float((scores >= 0.9).mean()),
        "saturated": bool(scores.min() >= _SATURATED),
        "whose": None if agreement is None else whose,
        "sure": _thumbnails(run, "sure"),
        "unsure": _thumbnails(run, "unsure", agreement, whose),
        "moved": None if moved is None else int(moved.sum() - np.trace(moved)),
        "moves": None if moved is None else _confusions(moved, names, ("source only says", "this run says", "images")),
    }


def _target(run: LoggedRun, other: LoggedRun | None) -> dict[str, Any]:
    """Describes the target class by class: accuracy and confusions; only images with a label count."""
    names, known = run.class_names, run.target_labels >= 0
    labels = run.target_labels[known]
    counts = accuracy.confusion_matrix(run.predictions[known], labels, len(names))
    present = counts.sum(axis=1) > 0
    values = {"this run": accuracy.per_class_accuracy(run.predictions[known], labels, len(names))}
    if other is not None and np.array_equal(other.target_labels, run.target_labels):
        values["source only"] = accuracy.per_class_accuracy(other.predictions[known], labels, len(names))
    every = [k for k in np.argsort(-values["this run"], kind="stable") if present[k]]
    order = every[-figures.MOST_BARS :]
    title = f"Mean {100 * np.mean(values['this run'][present]):.1f} %"
    title += f"; worst {len(order)} of {len(every):,} classes" if len(order) < len(every) else ""
    readable, matrix = legible(names), figures.confusion(counts, names)
    rows = [f"{readable[k]} ({counts[k].sum()})" for k in order]
    numbered = [pair for pair in zip(readable, names) if undrawable(shown(pair[1]))]
    return {
        "bars": panels([figures.bars(title, "percent", rows, {of: v[order] for of, v in values.items()})]),
        "matrix": panels([matrix] if matrix else []),
        "commonest": _confusions(counts, names, ("true class", "most often taken for", "images")),
        "present": int(present.sum()),
        "outside": float(counts[:, ~present].sum() / counts.sum()),
        "undrawable": Table(("in pictures", "name"), numbered, (0, 1)),
        "mistakes": _thumbnails(run, "mistake"),
    }


def _thumbnails(
    run: LoggedRun, kind: str, agreement: np.ndarray | None = None, whose: str = ""
) -> list[dict[str, Any]]:
    """Shows images that the evaluation kept.

    Args:
      run: of the page.
      kind: "mistake", "sure" or "unsure".
      agreement: how far others agree with each answer, 0..1 [nt]; where all scores are alike, it sorts.
      whose: it is.
    """
    found = []
    kept = [run.evaluation.get(f"{kind}_{what}", ()) for what in ("indices", "images", "names")]
    for index, image, file in zip(*kept):
        label, sure = run.target_labels[index], f"{percent(run.probabilities[index].max())} sure"
        sure += "" if agreement is None else f", {100 * agreement[index]:.0f} % {whose}"
        true = run.class_names[label] if label >= 0 else None
        found.append((index, thumbnail(image, str(file), run.class_names[run.predictions[index]], sure, true)))
    if agreement is not None and all(run.probabilities[index].max() >= _SATURATED for index, _ in found):
        found.sort(key=lambda each: agreement[each[0]])
    return [each for _, each in found]


def _shares(run: LoggedRun) -> Table | None:
    """Tells the classes whose estimated share of the target differs most from that of the source; None without both."""
    found, counts = (run.summary or {}).get("target_shares"), run.evaluation.get("source_counts", np.zeros(1))
    if not found or not counts.any():
        return None
    source = counts / counts.sum()
    target = np.array([found.get(name, 0.0) for name in run.class_names])
    order = np.argsort(-np.abs(target - source), kind="stable")[:8]
    rows = [(run.class_names[k], percent(source[k]), percent(target[k])) for k in order]
    return Table(("class", "source", "target, estimated"), rows)


def _confusions(counts: np.ndarray, names: tuple[str, ...], head: tuple[str, ...], most: int = 8) -> Table:
    """Lists the commonest mistakes of a confusion matrix, int [r, r]."""
    wrong = counts - np.diag(np.diag(counts))
    order = [i for i in np.argsort(-wrong, axis=None, kind="stable")[:most] if wrong.flat[i]]
    places = [np.unravel_index(i, counts.shape) for i in order]
    rows = [(names[true], names[taken], f"{wrong[true, taken]} of {counts[true].sum()}") for true, taken in places]
    return Table(head, rows, (0, 1))
