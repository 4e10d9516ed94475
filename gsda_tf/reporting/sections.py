"""The parts of a run's page, as HTML."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from gsda_tf import methods
from gsda_tf.errors import UserError
from gsda_tf.evaluation import selection
from gsda_tf.files import printable
from gsda_tf.progress import seconds
from gsda_tf.reporting import figures
from gsda_tf.reporting.names import shown, undrawable
from gsda_tf.reporting.runs import Run

MakeFigure = Callable[[str, "figures.Figure | list[figures.Figure] | None", str], str]
"""(name, figure, its panels or None, caption) -> HTML; "" for nothing."""
_MANY_NAMES = 100
_PHOTOGRAPH = 48
"""Pixels of the longer side from which an image is enlarged smoothly; a smaller one shows its pixels."""


def escape(text: str) -> str:
    """Text on one line of a page, whatever it holds."""
    return html.escape(printable(text))


def picture(panels: Sequence[bytes], caption: str, widths: Sequence[int]) -> str:
    """PNG files side by side as far as the page is wide, each at most so many pixels wide, with their caption; the
    pictures are inside the page. "" if there are none."""
    if not panels:
        return ""
    images = ""
    for number, (data, width) in enumerate(zip(panels, widths), start=1):
        uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        told = caption if len(panels) == 1 else f"{number} of {len(panels)}: {caption}"
        images += f'<img src="{uri}" alt="{escape(told)}" style="max-width: {width}px">'
    inside = images if len(panels) == 1 else f"<div class='panels'>{images}</div>"
    return f"<figure>{inside}<figcaption>{escape(caption)}</figcaption></figure>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], marked: Sequence[int] = ()) -> str:
    """A plain table of text; rows at the places `marked` stand out."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr{' class=oracle' if i in marked else ''}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for i, row in enumerate(rows)
    )
    return f"<div class='scroll'><table class='plain'><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def percent(value: float | None) -> str:
    """Of a share 0..1."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def summary(run: Run, source_only: Run | None) -> str:
    """What the reader came for: is it done, how good is it."""
    done = selection.evaluations(run.lines)
    latest = run.summary or (done[-1] if done else {})
    notes = []
    if run.summary is None:
        share = 100 * run.step / run.steps
        notes.append(f"<p class='note'>Still going, or stopped: step {run.step:,} of {run.steps:,} ({share:.0f} %). ")
        notes.append("Numbers are of the newest evaluation.</p>" if done else "Nothing was evaluated yet.</p>")
    unlabelled = bool(latest) and latest.get("accuracy/target") is None
    keys = sorted(selection.SCORES.values(), key=lambda key: key != run.score_key)
    cards = [
        ("no labels" if unlabelled else percent(latest.get(key)), key, "main" if key == run.score_key else "")
        for key in keys
    ]
    cards.append((percent(latest.get("accuracy/source")), "accuracy/source", ""))
    if source_only is not None and run.summary and not unlabelled:
        other = source_only.summary.get(run.score_key)
        if other is not None:
            gain = 100 * (latest[run.score_key] - other)
            cards.insert(1, (f"{gain:+.1f} points", f"against source only, {percent(other)}", ""))
    if run.distances:
        shown = " → ".join(f"{value:.2f}" for value in run.distances.values())
        cards.append((shown, f"score/a_distance, {' and '.join(run.distances)}", ""))
    cards.append((f"{run.step:,}", f"of {run.steps:,} steps", ""))
    if run.summary:
        cards.append((seconds(run.summary["wall_seconds"]), f"{run.summary['images_per_second']:.0f} images/s", ""))
    items = "".join(
        f"<div class='card {kind}'><b>{escape(b)}</b><span>{_breakable(t)}</span></div>" for b, t, kind in cards
    )
    place = run.settings.get("train_from")
    frozen = ", frozen" if run.settings.get("freeze_backbone") else f", trained from {place}" if place else ""
    what = f"{run.settings['extractor']}{frozen}"
    lead = f"{_method(run)} {what}, {run.settings['image_size']} px. Run folder: {run.workdir}"
    lead = f"<p class='quiet'>{escape(lead)}</p>"
    return lead + "".join(notes) + f"<div class='cards'>{items}</div>"


def _method(run: Run) -> str:
    return methods.title(run.summary["method"] if run.summary else run.settings["method"]) + "."


def training(run: Run, figure: MakeFigure, source_only: Run | None) -> str:
    """Curves over steps."""
    judge = ""
    if any(name.startswith("accuracy/discriminator_") for line in run.lines for name in line):
        judge = (
            " The discriminators learn while the features move away from them: near 50 % they are outrun at that "
            "moment, which does not say that the domains look alike. That is for score/a_distance, how well a "
            "classifier that is fitted afresh to the features tells them apart (0: not at all, 2: always)."
        )
    entropy = "; loss/entropy: how unsure the model is of the target"
    parts = [
        figure(
            "losses",
            figures.losses(run.lines),
            "Mean since the previous line of the log. loss/classification: cross-entropy on the source"
            + (entropy if any("loss/entropy" in line for line in run.lines) else "")
            + ".",
        ),
        figure(
            "accuracies",
            figures.accuracies(run.lines, source_only.lines if source_only else ()),
            "Target labels only score the result. The axis shows what is reached in training; what lies below it, such "
            f"as the value at step 0, is cut off.{judge}",
        ),
    ]
    if not any(parts):
        return "<h2>Training</h2><p class='quiet'>Nothing was logged yet.</p>"
    return "<h2>Training</h2>" + "".join(parts)


def synchronization(run: Run, figure: MakeFigure) -> str:
    """For the reader of the paper, folded."""
    shown = figure(
        "synchronization",
        figures.synchronization(run.lines),
        "First: the curves coincide when levels pull on the features equally hard. Then: what keeps them apart, "
        "mean over the nodes of a level. This is the synchronization at work, equations (10) to (12) of the paper.",
    )
    return shown and f"<details><summary><h2>Synchronization</h2></summary>{shown}</details>"


def unlabelled(images: int, classes: int, unused: Sequence[str]) -> str:
    """The heading of an unlabelled target, and what may be wrong."""
    text = (
        f"{images:,} images without labels: nothing here says how many answers are right. Look whether they make sense."
    )
    if unused:
        named = ", ".join(unused[:10]) + (" ..." if len(unused) > 10 else "")
        text += f" {len(unused):,} of {classes:,} classes are never said: {named}."
    return f"<h2>Target, as the model sees it</h2><p>{escape(text)}</p>"


def disagreement(moved: np.ndarray, names: Sequence[str]) -> str:
    """Where a run and source only differ; `moved` is int [r, r], what source only says by what the run says."""
    same, whole = int(np.trace(moved)), int(moved.sum())
    lead = (
        f"{percent((whole - same) / whole)} of the images ({whole - same:,}) get another class than from the run of "
        "source only beside this one. The more, the more adaptation did, for good or ill."
    )
    return f"<h3>Against source only</h3><p>{lead}</p>" + confusions(
        moved, names, head=("source only says", "this run says", "images")
    )


def numbered(class_names: Sequence[str]) -> str:
    """The names that pictures cannot show."""
    rows = [(shown(name, k), name) for k, name in enumerate(class_names) if undrawable(printable(name))]
    return f"<p>No font here has these names:</p>{table(('in pictures', 'name'), rows)}" if rows else ""


def outside(counts: np.ndarray) -> str:
    """For a target that has only some of the source's classes: how many images went to the others."""
    absent = counts.sum(axis=1) == 0
    if not absent.any():
        return ""
    share = counts[:, absent].sum() / counts.sum()
    return (
        f"<p>The target has {int((~absent).sum())} of {len(counts)} classes. {percent(float(share))} of its images "
        "were taken for a class that it does not have.</p>"
    )


def confusions(
    counts: np.ndarray,
    names: Sequence[str],
    most: int = 8,
    head: tuple[str, ...] = ("true class", "most often taken for", "images"),
) -> str:
    """The commonest mistakes as a table."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    places = np.flatnonzero(wrong)
    order = places[np.argsort(-wrong.flat[places], kind="stable")][:most]
    if not len(order):
        return "<p>None.</p>"
    rows = []
    for true, taken in (np.unravel_index(i, counts.shape) for i in order):
        share = f"{wrong[true, taken]} of {counts[true].sum()}"
        rows.append((names[true], names[taken], share))
    return table(head, rows)


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """An image and what the model says of it.

    Attributes:
      image: uint8 [h, w, 3].
      file: its path, or its place in the data set.
      true: name of its class; None if it has no label.
      predicted: name of the class that the model said.
      probability: 0..1, of the predicted class.
    """

    image: np.ndarray
    file: str
    true: str | None
    predicted: str
    probability: float


def _breakable(name: str) -> str:
    return escape(name).replace("_", "_<wbr>").replace("/", "/<wbr>")


def thumbnails(title: str, lead: str, items: Sequence[Thumbnail]) -> str:
    """A sheet of images under a heading; "" if there are none."""
    if not items:
        return ""
    cells = []
    for item in items:
        out = io.BytesIO()
        Image.fromarray(item.image).save(out, "PNG")
        uri = f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
        kind = "pixels" if max(item.image.shape[:2]) < _PHOTOGRAPH else "photograph"
        file, true = escape(item.file), f"<span>is {_breakable(item.true)}</span>" if item.true is not None else ""
        cells.append(
            f'<div class="thumb"><img class="{kind}" src="{uri}" alt="{file}" title="{file}">'
            f"<b>{_breakable(item.predicted)}</b>{true}"
            f"<span class='quiet'>{100 * item.probability:.1f} % sure</span>"
            f"<span class='quiet file'>{escape('/'.join(item.file.split('/')[-2:]))}</span></div>"
        )
    said = f"<p class='quiet'>{escape(lead)}</p>" if lead else ""
    return f"<h2>{title}</h2>{said}<div class='thumbs'>{''.join(cells)}</div>"


def choice(run: Run, figure: MakeFigure) -> str:
    """Label-free scores, and what each would have selected."""
    picture_ = figure(
        "label_free",
        figures.label_free(run.lines),
        "Scores that no target label enters, at every evaluation. The ring marks the step that each selects.",
    )
    evaluated = selection.evaluations(run.lines)
    if not evaluated:
        return ""
    labelled = evaluated[-1].get("accuracy/target") is not None
    rows, marked = [], []
    for name, criterion in selection.CRITERIA.items():
        try:
            step = selection.best(run.lines, name)
        except UserError:
            continue
        used = ""
        if name == run.settings["select"] and run.summary:
            used = "exported" if run.summary.get("export_dir") else "selected, not exported"
        rows.append(_row(run, criterion.title, step, used))
    if labelled:
        marked = [len(rows)]
        note = "looks at target labels: never a result"
        rows.append(_row(run, "oracle", selection.oracle(run.lines, run.score_key), note))
    head = ("chosen by", "step", "accuracy/source", *selection.SCORES.values(), "")
    return f"<h2>Which checkpoint, without target labels</h2>{picture_}{table(head, rows, marked)}"


def _row(run: Run, title: str, step: int, note: str) -> tuple[str, ...]:
    line = selection.at_step(run.lines, step)
    keys = ("accuracy/source", "accuracy/target", "accuracy/target_mean_class")
    return (title, f"{step:,}", *(percent(line.get(key)) for key in keys), note)


def groups(run: Run) -> str:
    """The classes of each group."""
    if not run.groups:
        return ""
    rows = "".join(
        f"<tr><th>{i + 1}</th><td>{''.join(f'<span>{escape(name)}</span>' for name in group)}</td></tr>"
        for i, group in enumerate(run.groups)
    )
    lead = f"<p class='quiet'>{len(run.groups)} groups, drawn once from the run's seed.</p>"
    shown = f"{lead}<table class='groups'>{rows}</table>"
    if sum(map(len, run.groups)) > _MANY_NAMES:
        return f"<details><summary><h2>Groups</h2></summary>{shown}</details>"
    return f"<h2>Groups</h2>{shown}"


def settings(run: Run) -> str:
    """Everything needed to make the run again."""
    rows = [(f"--{name}", _value(value)) for name, value in run.settings.items()]
    parts = [f"<details><summary>All settings</summary>{table(('setting', 'value'), rows)}</details>"]
    if run.summary:
        versions = [*run.summary.get("versions", {}).items(), ("weights (SHA-256)", run.summary["weights_sha256"])]
        rows = [(name, str(value)) for name, value in versions]
        parts.append(f"<details><summary>Versions and weights</summary>{table(('what', 'value'), rows)}</details>")
    return "<h2>How it was made</h2>" + "".join(parts)


def _value(value) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
