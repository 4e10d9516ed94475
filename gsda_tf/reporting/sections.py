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
from gsda_tf.reporting import figures
from gsda_tf.reporting.names import shown, undrawable
from gsda_tf.reporting.runs import Run

MakeFigure = Callable[[str, "figures.Figure | None", str], str]
"""(name, figure or None, caption) -> HTML; "" for None."""
_PHOTOGRAPH = 48
"""Pixels of the longer side from which an image is enlarged smoothly; a smaller one shows its pixels."""


def escape(text: str) -> str:
    """Text on one line of a page, whatever it holds."""
    return html.escape(printable(text))


def picture(data: bytes, caption: str, width: int) -> str:
    """A figure, a PNG file shown at most `width` pixels wide, with its caption; the picture is inside the page."""
    uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    image = f'<img src="{uri}" alt="{escape(caption)}" style="max-width: {width}px">'
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


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


def summary(run: Run, distances: dict[str, float]) -> str:
    """What the reader came for: is it done, how good is it."""
    done = selection.evaluations(run.lines)
    latest = run.summary or (done[-1] if done else {})
    notes = []
    if run.summary is None:
        share = 100 * run.step / run.steps
        notes.append(f"<p class='note'>Still going, or stopped: step {run.step:,} of {run.steps:,} ({share:.0f} %). ")
        notes.append("Numbers are of the newest evaluation.</p>" if done else "Nothing was evaluated yet.</p>")
    unlabelled = bool(latest) and latest.get("accuracy/target") is None
    titles = {"accuracy/target": "target accuracy", "accuracy/target_mean_class": "target, mean over classes"}
    cards = [
        ("no labels" if unlabelled else percent(latest.get(key)), titles[key], "main" if key == run.score_key else "")
        for key in sorted(titles, key=lambda key: key != run.score_key)
    ]
    cards.append((percent(latest.get("accuracy/source")), "source accuracy", ""))
    if distances:
        shown = " → ".join(f"{value:.2f}" for value in distances.values())
        cards.append((shown, f"proxy A-distance, {' and '.join(distances)}", ""))
    elif latest.get("score/a_distance") is not None:
        cards.append((f"{latest['score/a_distance']:.2f}", "proxy A-distance", ""))
    cards.append((f"{run.step:,}", f"of {run.steps:,} steps", ""))
    if run.summary:
        cards.append((_seconds(run.summary["wall_seconds"]), f"{run.summary['images_per_second']:.0f} images/s", ""))
    items = "".join(
        f"<div class='card {kind}'><b>{escape(b)}</b><span>{escape(t)}</span></div>" for b, t, kind in cards
    )
    what = f"{run.settings['extractor']}{', frozen' if run.settings.get('freeze_backbone') else ''}"
    lead = f"{_method(run)} {what}, {run.settings['image_size']} px. Run folder: {run.workdir}"
    lead = f"<p class='quiet'>{escape(lead)}</p>"
    return lead + "".join(notes) + f"<div class='cards'>{items}</div>"


def _method(run: Run) -> str:
    return methods.title(run.summary["method"] if run.summary else run.settings["method"]) + "."


def training(run: Run, figure: MakeFigure) -> str:
    """Curves over steps."""
    parts = [
        figure("losses", figures.losses(run.lines), "Loss terms, mean since the previous line of the log."),
        figure(
            "accuracies",
            figures.accuracies(run.lines),
            "Target labels only score the result. A discriminator near chance can no longer tell the domains apart.",
        ),
    ]
    if not any(parts):
        return "<h2>Training</h2><p class='quiet'>Nothing was logged yet.</p>"
    synchronized = figure(
        "synchronization",
        figures.synchronization(run.lines),
        "Left: the three curves coincide when levels pull on the features equally hard. Right: what keeps them apart, "
        "mean over the nodes of a level. This is the synchronization at work, equations (10) to (12).",
    )
    if synchronized:
        synchronized = "<h2>Synchronization</h2>" + synchronized
    return "<h2>Training</h2>" + "".join(parts) + synchronized


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


def confusions(counts: np.ndarray, names: Sequence[str], most: int = 8) -> str:
    """The commonest mistakes as a table."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    places = np.flatnonzero(wrong)
    order = places[np.argsort(-wrong.flat[places], kind="stable")][:most]
    if not len(order):
        return "<p>No mistakes.</p>"
    rows = []
    for true, taken in (np.unravel_index(i, counts.shape) for i in order):
        share = f"{wrong[true, taken]} of {counts[true].sum()}"
        rows.append((names[true], names[taken], share))
    return table(("true class", "most often taken for", "images"), rows)


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A wrong prediction.

    Attributes:
      image: uint8 [h, w, 3].
      index: of the image in the target.
      true: name of its class.
      predicted: name of the class that the model said.
      probability: 0..1, of the predicted class.
    """

    image: np.ndarray
    index: int
    true: str
    predicted: str
    probability: float


def _breakable(name: str) -> str:
    return escape(name).replace("_", "_<wbr>")


def mistakes(items: Sequence[Mistake]) -> str:
    """Thumbnails of the mistakes of which the model was surest."""
    if not items:
        return ""
    cells = []
    for item in items:
        out = io.BytesIO()
        Image.fromarray(item.image).save(out, "PNG")
        uri = f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
        title = f"image {item.index} of the target"
        kind = "pixels" if max(item.image.shape[:2]) < _PHOTOGRAPH else "photograph"
        cells.append(
            f'<div class="thumb"><img class="{kind}" src="{uri}" alt="{title}" title="{title}">'
            f"<b>{_breakable(item.predicted)}</b><span>is {_breakable(item.true)}</span>"
            f"<span class='quiet'>{100 * item.probability:.1f} % sure</span></div>"
        )
    lead = "<p class='quiet'>What the model said, what the label says, how sure the model was. Labels err too.</p>"
    return f"<h2>Most confident mistakes</h2>{lead}<div class='thumbs'>{''.join(cells)}</div>"


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
        used = "exported" if name == run.settings["select"] and run.summary else ""
        rows.append(_row(run, criterion.title, step, used))
    if labelled:
        marked = [len(rows)]
        note = "looks at target labels: never a result"
        rows.append(_row(run, "oracle", selection.oracle(run.lines, run.score_key), note))
    head = ("chosen by", "step", "source accuracy", "target accuracy", "mean over classes", "")
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
    return f"<h2>Groups</h2>{lead}<table class='groups'>{rows}</table>"


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


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
