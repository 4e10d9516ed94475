"""The pictures of a run. Each function takes numbers and returns a figure; curves come as one figure a panel, as a
narrow screen shows them below each other, and as none where there is nothing to show."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Mapping, Sequence

import matplotlib
import matplotlib.lines
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gsda_tf.evaluation.selection import CRITERIA
from gsda_tf.reporting.names import all_shown, families

Lines = Sequence[Mapping[str, float]]

SOURCE, TARGET, REFERENCE = "#2457a6", "#d1495b", "#5d6878"
_QUIET = "#8a94a3"
_LEVELS = {"domain": "#1c2430", "group": "#e08e0b", "class": "#2a9d6f", "synchronization": "#8a3ffc"}
_EXTRA = ("#b5651d", "#c2185b", "#607d8b")
_MOST_PLAIN = 100
"""A curve of more points is drawn with its moving mean."""
MOST_ROWS = 200
"""A matrix of more classes has names that nobody can read, and takes a minute to draw."""
_MOST_BARS = 60
_STYLE = dict(
    matplotlib.rc_params_from_file(
        os.path.join(os.path.dirname(__file__), "templates", "figures.mplstyle"), use_default_template=False
    ),
    **{"font.family": list(families())},
)


def png(figure: Figure, dpi: int = 130) -> bytes:
    """Returns the figure as a PNG file."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi)
    return out.getvalue()


def losses(lines: Lines) -> list[Figure]:
    """Draws the terms that E and C minimise, and the loss of the discriminators by level, over steps."""
    # What is 0 throughout is not measured.
    names = [n for n in _names(lines, "loss/") if n != "synchronization" and _values(lines, f"loss/{n}")[1].any()]
    terms = [_Curve(lines, f"loss/{n}", color) for n, color in zip(names, (SOURCE, TARGET, *_EXTRA, *_EXTRA))]
    levels = [_Curve(lines, f"alignment/{name}", _color(name)) for name in _names(lines, "alignment/")]
    chance = (np.log(2), "chance, log 2") if _names(lines, "accuracy/discriminator_") else None
    return [
        *_curves("Losses of extractor and classifier", "nats", terms),
        *_curves("Alignment", None, levels, chance=chance),
    ]


def accuracies(lines: Lines, source_only: Lines = ()) -> list[Figure]:
    """Draws accuracies of the classifier over steps.

    Args:
      lines: of the run.
      source_only: of the run that aligns nothing, whose target accuracy is drawn beside.

    Returns:
      A figure of what changes, if anything does: a curve that stays where it is flattens the others, and two points
      are no curve.
    """
    keys = {"accuracy/source": SOURCE, "accuracy/target": TARGET, "accuracy/target_mean_class": TARGET}
    curves = [
        _Curve(lines, k, c, ":" if k.endswith("class") else "-", 100) for k, c in keys.items() if _changes(lines, k)
    ]
    if not curves:
        return []
    if len(set(_values(lines, "pool_share")[1])) > 1:
        curves.append(_Curve(lines, "pool_share", _QUIET, scale=100))
    curves.append(_Curve(source_only, "accuracy/target", REFERENCE, "--", 100, "accuracy/target, source only"))
    found = _curves("Accuracy", "percent", curves)
    _close_up(found[0].axes[0])
    return found


def discriminators(lines: Lines) -> list[Figure]:
    """Draws the accuracy of the discriminators of each level over steps."""
    keys = [(name, f"accuracy/discriminator_{name}") for name in _names(lines, "accuracy/discriminator_")]
    levels = [_Curve(lines, key, _color(name), scale=100) for name, key in keys]
    return _curves("Discriminators", "percent", levels, chance=(50, "chance"))


def synchronization(lines: Lines) -> list[Figure]:
    """Draws S summed over each level, and how far apart neighbouring levels are, (10)-(12)."""
    sums = []
    for name in _names(lines, "S/"):
        level = "".join(c for c in name if c.isalnum())
        title = r"$S_{domain}$" if name == "domain" else rf"$\Sigma\,S_{{{level}}}$"
        sums.append(_Curve(lines, f"S/{name}", _color(name), title=title))
    apart = [_Curve(lines, f"difference/{name}", _color(name)) for name in _names(lines, "difference/")]
    apart.append(_Curve(lines, "loss/synchronization", _LEVELS["synchronization"]))
    return [
        *_curves("Gradient magnitude $S$, summed over each level", "S", sums, bottom=0),
        *_curves(r"What is out of step: $|S-\Sigma S|$", "S", apart if sums else (), bottom=0),
    ]


@matplotlib.rc_context(_STYLE)
def label_free(lines: Lines) -> list[Figure]:
    """Draws scores that need no target label over steps, each with the step that it would select; none of fewer than
    two evaluations, which leave nothing to select."""
    found = []
    for criterion in CRITERIA.values():
        if not criterion.key.startswith("score/") or len(_trained(lines, criterion.key)) < 2:
            continue
        steps, values = _values(lines, criterion.key)
        figure, ax = _panel(3.7, 2.5)
        ax.plot(steps, values, color=SOURCE, marker="o", markersize=3)
        trained = np.flatnonzero(steps > 0)
        best = trained[-1] - np.argmax(criterion.sign * values[trained][::-1])
        ax.plot(steps[best], values[best], "o", color=TARGET, markersize=8, fillstyle="none", markeredgewidth=1.8)
        ax.set_title(criterion.title)
        ax.set(xlabel="step", ylabel=criterion.key)
        found.append(figure)
    return found


def embedding(
    panels: Sequence[tuple[str, np.ndarray, np.ndarray]],
    source_classes: np.ndarray,
    target_classes: np.ndarray,
    class_names: Sequence[str],
) -> list[Figure]:
    """Draws points of both domains, coloured by class and shaped by domain, as in the paper's Figure 1.

    Args:
      panels: (title, source points [ns, 2], target points [nt, 2]) of each.
      source_classes: int [ns].
      target_classes: int [nt]; -1 is grey.
      class_names: r names.
    """
    colors = np.concatenate([_class_colors(len(class_names)), [[0.55, 0.58, 0.63, 1]]])  # -1 is the last: grey
    found = []
    with matplotlib.rc_context({**_STYLE, "axes.grid": False}):
        for title, source, target in panels:
            figure, ax = _panel(4.4, 4.6)
            ax.scatter(*source.T, c=colors[source_classes], s=16, marker="o", alpha=0.55, linewidths=0)
            ax.scatter(
                *target.T, c=colors[target_classes], s=24, marker="^", alpha=0.9, linewidths=0.5, edgecolors="#1c2430"
            )
            ax.set(xticks=[], yticks=[])
            ax.set_title(title)
            ax.spines[["left", "bottom"]].set_visible(False)
            handles = [
                matplotlib.lines.Line2D([], [], linestyle="", color=_QUIET, marker=m, markeredgecolor=e, label=t)
                for t, m, e in (("source", "o", "none"), ("target", "^", "#1c2430"))
            ]
            if len(class_names) <= 12:
                handles += [
                    matplotlib.lines.Line2D([], [], linestyle="", marker="s", color=colors[k], label=name)
                    for k, name in enumerate(all_shown(class_names))
                ]
            columns = 6 if max(map(len, class_names), default=0) < 5 else 3
            figure.legend(handles=handles, loc="outside lower center", ncols=columns, handletextpad=0.1)
            found.append(figure)
    return found


def confusion(counts: np.ndarray, class_names: Sequence[str]) -> Figure | None:
    """Draws a confusion matrix, each row in percent of its class; rows without images are left out.

    Returns None for more than `MOST_ROWS` classes.

    Args:
      counts: int [r, r], true class by predicted class.
      class_names: r names.
    """
    if len(class_names) > MOST_ROWS:
        return None
    rows, class_names = np.flatnonzero(counts.sum(axis=1)), all_shown(class_names)
    shares = 100 * counts[rows] / counts[rows].sum(axis=1, keepdims=True)
    r = len(class_names)
    side = np.clip(0.185 * r, 3.6, 9.5)
    with matplotlib.rc_context({**_STYLE, "axes.grid": False, "font.size": 9 if r <= 35 else 6.5}):
        figure, ax = _panel(side + 2.2, max(side * len(rows) / r, 2.2) + 1.6)
        image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        ax.set_xticks(range(r), class_names, rotation=90)
        ax.set_yticks(range(len(rows)), [class_names[k] for k in rows])
        ax.set(xlabel="predicted", ylabel="true")
        ax.spines[:].set_visible(False)
        if r <= 12:
            for (i, j), share in np.ndenumerate(shares):
                if share >= 0.5:
                    ax.text(j, i, f"{share:.0f}", ha="center", va="center", color="white" if share > 55 else "#3a4452")
        figure.colorbar(image, ax=ax, label="percent of the true class", fraction=0.04, pad=0.02)
    return figure


def per_class(
    accuracy: Sequence[float],
    sizes: Sequence[int],
    class_names: Sequence[str],
    source_only: Sequence[float] | None = None,
) -> Figure:
    """Draws the accuracy of every class that has images, best first; of many classes, of those that are worst.

    Args:
      accuracy: [r], 0..1; NaN where the class has no images.
      sizes: [r], images of each class.
      class_names: r names.
      source_only: [r], as `accuracy`, of the run that aligns nothing: drawn as ticks.
    """
    values = 100 * np.asarray(accuracy, float)
    every = [k for k in np.argsort(-values, kind="stable") if np.isfinite(values[k])]
    order = every[-_MOST_BARS:]
    worst = f"; worst {len(order)} of {len(every):,} classes" if len(order) < len(every) else ""
    title = f"Mean {np.nanmean(values):.1f} % (dotted)"
    title += worst or ("" if source_only is not None else "; below half in red")
    with matplotlib.rc_context({**_STYLE, "font.size": 9 if len(order) <= 35 else 7.5}):
        figure, ax = _panel(4.4, max(2.4, 0.19 * len(order) + 1))
        places = np.arange(len(order))
        ax.barh(places, values[order], color=[TARGET if values[k] < 50 else SOURCE for k in order], height=0.72)
        if source_only is not None:
            ticks = 100 * np.asarray(source_only, float)[order]
            ax.plot(ticks, places, "|", color="#e08e0b", markersize=9, markeredgewidth=2, label="source only")
            ax.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize="small", borderpad=0)
        names = all_shown(class_names)
        ax.set_yticks(places, [names[k] for k in order])
        ax.set_ylim(len(order) - 0.4, -0.6)
        for place, k in zip(places, order):  # in a column of their own: no bar, tick or line runs through a number
            ax.text(103, place, f"{values[k]:.0f} % ({sizes[k]})", va="center", fontsize="small")
        ax.axvline(float(np.nanmean(values)), color="#1c2430", linewidth=1, linestyle=":", zorder=0.5)
        ax.set_title(title)
        ax.set_xlim(0, 126)
        ax.set_xticks(range(0, 101, 20))
        ax.grid(axis="y", visible=False)
    return figure


def predicted_classes(predicted: Sequence[int], source: Sequence[int], class_names: Sequence[str]) -> Figure:
    """Draws how often each class is said of the target, beside how often the source has it.

    Of very many classes those that differ most.

    Args:
      predicted: [r], target images by predicted class.
      source: [r], source images by class.
      class_names: r names.
    """
    said, had = (100 * np.asarray(x, float) / max(np.sum(x), 1) for x in (predicted, source))
    order, title = np.argsort(-said, kind="stable"), "Share of each class"
    if len(order) > 40:
        order = np.argsort(had - said, kind="stable")
        order, title = np.concatenate([order[:20], order[-20:]]), "The 40 classes whose shares differ most"
    with matplotlib.rc_context({**_STYLE, "font.size": 9 if len(order) <= 30 else 8}):
        figure, ax = _panel(4.4, max(2.6, 0.26 * len(order) + 1.1))
        places = np.arange(len(order))
        ax.barh(places - 0.2, said[order], color=TARGET, height=0.38, label="target, as predicted")
        ax.barh(places + 0.2, had[order], color=SOURCE, height=0.38, label="source, as labelled")
        names = all_shown(class_names)
        ax.set_yticks(places, [names[k] for k in order])
        ax.set_ylim(len(order) - 0.4, -0.6)
        ax.grid(axis="y", visible=False)
        return _finish(figure, ax, title, None, "percent of the domain's images")


def scores(values: np.ndarray) -> Figure:
    """Draws a histogram of the scores of all target images, 0..1."""
    with matplotlib.rc_context(_STYLE):
        figure, ax = _panel(4.4, 3.2)
        ax.hist(values, bins=np.linspace(0, 1, 21), color=TARGET, rwidth=0.9)
        ax.axvline(float(np.median(values)), color="#1c2430", linewidth=1, linestyle=":", label="median")
        ax.set_xlim(0, 1)
        return _finish(figure, ax, "How sure the model is", "target images", "score of the predicted class")


def means(what: str, rows: Sequence[tuple[str, float, float | None]]) -> Figure:
    """Draws means with their 95 % intervals, one row each.

    Args:
      what: they are means of.
      rows: (title, mean in percent, half the width of its interval or None), from top to bottom.
    """
    with matplotlib.rc_context(_STYLE):
        figure, ax = _panel(5.2, 0.42 * len(rows) + 1.1)
        for place, (_, mean, reach) in enumerate(rows):
            ax.errorbar(mean, place, xerr=reach, fmt="o", color=SOURCE, capsize=3, markersize=5)
        ax.set_yticks(range(len(rows)), [title for title, _, _ in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xlabel("percent")
        ax.set_title(what)
    return figure


def _panel(width: float = 4.4, height: float = 3.2) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _names(lines: Lines, prefix: str) -> list[str]:
    """Returns what follows the prefix in the lines' keys: levels from coarse to fine, then the rest."""
    found = {key[len(prefix) :] for line in lines for key in line if key.startswith(prefix)}
    order = ("classification", "entropy", "domain", "group", "class", "synchronization")
    return sorted(found, key=lambda n: (next((i for i, o in enumerate(order) if n.startswith(o)), len(order)), n))


def _values(lines: Lines, key: str) -> tuple[np.ndarray, np.ndarray]:
    found = [(line["step"], line[key]) for line in lines if line.get(key) is not None]
    return tuple(np.array(column, float) for column in zip(*found)) if found else (np.array([]), np.array([]))


def _trained(lines: Lines, key: str) -> np.ndarray:
    """Returns the values of a key that were evaluated in training, behind step 0."""
    steps, values = _values(lines, key)
    return values[steps > 0]


def _changes(lines: Lines, key: str) -> bool:
    return len(np.unique(_trained(lines, key))) > 1


@dataclasses.dataclass(frozen=True)
class _Curve:
    """One value of a log over steps, times `scale`."""

    lines: Lines
    key: str
    color: str
    style: str = "-"
    scale: float = 1
    title: str = ""

    def draw(self, ax: Axes) -> None:
        """Draws it, if there is anything to be drawn."""
        steps, values = _values(self.lines, self.key)
        values = values * self.scale
        if not len(values):
            return
        if len(values) > _MOST_PLAIN:  # what varies from line to line stays visible behind the mean
            ax.plot(steps, values, self.style, color=self.color, alpha=0.18, linewidth=0.9)
            steps, values = _smooth(steps, values)
        named = {"color": self.color, "label": self.title or self.key}
        ax.plot(steps, values, self.style, marker="o" if len(steps) <= 12 else None, markersize=3.5, **named)
        if len(values) < 3 and self.style == "-":  # too few to be a curve
            near = {"xytext": (5, 4), "textcoords": "offset points", "color": self.color, "fontsize": "small"}
            for step, value in zip(steps, values):
                ax.annotate(f"{value:.3g}", (step, value), **near)


@matplotlib.rc_context(_STYLE)
def _curves(
    title: str,
    unit: str | None,
    curves: Sequence[_Curve],
    chance: tuple[float, str] | None = None,
    bottom: float | None = None,
) -> list[Figure]:
    """Returns a figure of some curves, in a list; none where nothing was logged."""
    figure, ax = _panel()
    for curve in curves:
        curve.draw(ax)
    if not ax.lines:
        return []
    if chance is not None:
        ax.axhline(chance[0], color=_QUIET, linestyle=":", linewidth=1, label=chance[1])
    return [_finish(figure, ax, title, unit, bottom=bottom)]


def _close_up(ax: Axes) -> None:
    """Percent: from a little below what is reached in training, where differences can be seen, to a little above."""
    drawn = [(x, y) for line in ax.lines for x, y in zip(line.get_xdata(), line.get_ydata())]
    values = [y for x, y in drawn if x > 0] or [y for _, y in drawn]
    low, high = min(values), max(values)
    room = max(0.12 * (high - low), 1.5)
    ax.set_ylim(max(low - room, 0), min(high + room, 100.4))


def _smooth(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moving mean over about a fortieth of the curve, at the steps where the window is full."""
    width = max(3, len(values) // 40)
    kernel = np.full(width, 1 / width)
    return np.convolve(steps, kernel, "valid"), np.convolve(values, kernel, "valid")


def _finish(
    figure: Figure, ax: Axes, title: str, unit: str | None, xlabel: str = "step", bottom: float | None = None
) -> Figure:
    ax.set_title(title)
    ax.set_xlabel(xlabel)
    if unit:
        ax.set_ylabel(unit)
    if bottom is not None:
        ax.set_ylim(bottom=bottom)
    # Below the axes: over the curves it hides what it names.
    longest = max((len(text) for text in ax.get_legend_handles_labels()[1]), default=0)
    figure.legend(loc="outside lower left", ncols=2 if longest <= 22 else 1, fontsize=9)
    return figure


def _color(level: str) -> str:
    """Several levels of groups are told apart by their number."""
    if level in _LEVELS:
        return _LEVELS[level]
    digits = "".join(c for c in level if c.isdigit())
    return _EXTRA[int(digits or 0) % len(_EXTRA)]


def _class_colors(count: int) -> np.ndarray:
    """[count, 4]; neighbours in the list are far apart in colour."""
    if count <= 10:
        return matplotlib.colormaps["tab10"](np.arange(count))
    hues = (np.arange(count) * 0.618034) % 1
    shade = np.where(np.arange(count) % 2, 0.92, 0.68)
    rgb = matplotlib.colors.hsv_to_rgb(np.stack([hues, np.full(count, 0.78), shade], axis=1))
    return np.concatenate([rgb, np.ones((count, 1))], axis=1)
