"""The pictures of a run. Each function takes numbers and returns a figure, or None if there is nothing to show."""

from __future__ import annotations

import io
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

SOURCE, TARGET = "#2457a6", "#d1495b"
_LEVELS = {"domain": "#1c2430", "group": "#e08e0b", "class": "#2a9d6f", "synchronization": "#8a3ffc"}
_EXTRA = ("#b5651d", "#c2185b", "#607d8b")
_MOST_PLAIN = 100
"""A curve of more points is drawn with its moving mean."""
MOST_ROWS = 200
"""A matrix of more classes has names that nobody can read, and takes a minute to draw."""
_MOST_BARS = 100
_STYLE = {
    "font.family": list(families()),
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "semibold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a94a3",
    "axes.labelcolor": "#3a4452",
    "xtick.color": "#5d6878",
    "ytick.color": "#5d6878",
    "axes.grid": True,
    "grid.color": "#e6e9ee",
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
}


def png(figure: Figure, dpi: int = 130) -> bytes:
    """The figure as a PNG file."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi)
    return out.getvalue()


def losses(lines: Lines) -> Figure | None:
    """The terms of L^c (3)-(5), and L_k (6)-(8) summed over each level, over steps."""
    names, levels = _names(lines, "loss/"), _names(lines, "alignment/")
    with matplotlib.rc_context(_STYLE):
        classes = [name for name in ("classification", "entropy") if name in names]
        if not names:
            return None
        figure, axes = _axes(1 + bool(levels))
        titles = {"classification": "source cross-entropy", "entropy": "target entropy"}
        for name, color in zip(classes, (SOURCE, TARGET)):
            _curve(axes[0], lines, f"loss/{name}", titles[name], color)
        _finish(axes[0], "Classification $L^c$", "nats")
        if levels:
            for name in levels:
                _curve(axes[1], lines, f"alignment/{name}", _level_title(name), _color(name))
            axes[1].axhline(np.log(2), color="#8a94a3", linestyle=":", linewidth=1, label="chance, log 2")
            _finish(axes[1], "Alignment: discriminators' loss by level", "nats")
    return figure


def accuracies(lines: Lines) -> Figure | None:
    """Accuracy of the classifier and of the discriminators over steps."""
    curves = [
        ("accuracy/source", "source", SOURCE, "-"),
        ("accuracy/target", "target (for the score only)", TARGET, "-"),
        ("accuracy/target_mean_class", "target, mean over classes", TARGET, ":"),
        ("pool_share", "target with a confident label", "#8a94a3", "-"),
    ]
    curves = [curve for curve in curves if _values(lines, curve[0])[0].size]
    if not curves:
        return None
    with matplotlib.rc_context(_STYLE):
        levels = _names(lines, "accuracy/discriminator_")
        figure, axes = _axes(1 + bool(levels))
        for key, title, color, style in curves:
            _curve(axes[0], lines, key, title, color, style, percent=True)
        _finish(axes[0], "Classifier", "percent", bottom=0)
        if levels:
            for name in levels:
                _curve(axes[1], lines, f"accuracy/discriminator_{name}", name, _color(name), percent=True)
            axes[1].axhline(50, color="#8a94a3", linestyle=":", linewidth=1, label="chance, balanced batch")
            _finish(axes[1], "Discriminators: can they tell the domains apart?", "percent")
    return figure


def synchronization(lines: Lines) -> Figure | None:
    """S summed over each level, and how far apart neighbouring levels are, (10)-(12)."""
    names = _names(lines, "S/")
    if not names:
        return None
    with matplotlib.rc_context(_STYLE):
        figure, axes = _axes(2)
        titles = {"domain": r"$S_{domain}$", "class": r"$\Sigma\,S_{class}$"}
        for name in names:
            plain = "".join(c for c in name if c.isalnum())
            _curve(axes[0], lines, f"S/{name}", titles.get(name, rf"$\Sigma\,S_{{{plain}}}$"), _color(name))
        _finish(axes[0], "Gradient magnitude $S$, summed over each level", "S", bottom=0)
        for name in _names(lines, "difference/"):
            title = f"{name} against the level below"
            _curve(axes[1], lines, f"difference/{name}", title, _color(name))
        _curve(axes[1], lines, "loss/synchronization", "$L^{syn}$", _LEVELS["synchronization"])
        _finish(axes[1], r"What is out of step: $|S-\Sigma S|$", "S", bottom=0)
    return figure


def label_free(lines: Lines) -> Figure | None:
    """Scores that need no target label over steps, each with the step that it would select."""
    chosen = [(n, c) for n, c in CRITERIA.items() if c.key.startswith("score/") and _values(lines, c.key)[0].size]
    if not chosen:
        return None
    with matplotlib.rc_context(_STYLE):
        figure, axes = _axes(len(chosen), width=11.5 / len(chosen), height=2.7)
        for ax, (_, criterion) in zip(axes, chosen):
            steps, values = _values(lines, criterion.key)
            ax.plot(steps, values, color=SOURCE, marker="o", markersize=3)
            best = len(values) - 1 - np.argmax(criterion.sign * values[::-1])
            ax.plot(steps[best], values[best], "o", color=TARGET, markersize=8, fillstyle="none", markeredgewidth=1.8)
            ax.set_title(criterion.title, fontsize=9.5)
            ax.set_xlabel("step")
    return figure


def embedding(
    panels: Sequence[tuple[str, np.ndarray, np.ndarray]],
    source_classes: np.ndarray,
    target_classes: np.ndarray,
    class_names: Sequence[str],
) -> Figure:
    """Points of both domains, coloured by class and shaped by domain, as in the paper's Figure 1.

    Args:
      panels: (title, source points [ns, 2], target points [nt, 2]) of each.
      source_classes: int [ns].
      target_classes: int [nt]; -1 is grey.
      class_names: r names.
    """
    colors = np.concatenate([_class_colors(len(class_names)), [[0.55, 0.58, 0.63, 1]]])  # -1 is the last: grey
    with matplotlib.rc_context({**_STYLE, "axes.grid": False}):
        figure, axes = _axes(len(panels), width=5.8, height=5.2)
        for ax, (title, source, target) in zip(axes, panels):
            ax.scatter(*source.T, c=colors[source_classes], s=16, marker="o", alpha=0.55, linewidths=0)
            ax.scatter(
                *target.T, c=colors[target_classes], s=24, marker="^", alpha=0.9, linewidths=0.5, edgecolors="#1c2430"
            )
            ax.set(xticks=[], yticks=[])
            ax.set_title(title)
            ax.spines[["left", "bottom"]].set_visible(False)
        handles = [
            matplotlib.lines.Line2D([], [], linestyle="", color="#8a94a3", marker=m, markeredgecolor=e, label=t)
            for t, m, e in (("source", "o", "none"), ("target", "^", "#1c2430"))
        ]
        if len(class_names) <= 12:
            handles += [
                matplotlib.lines.Line2D([], [], linestyle="", marker="s", color=colors[k], label=name)
                for k, name in enumerate(all_shown(class_names))
            ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 9), handletextpad=0.1)
    return figure


def confusion(counts: np.ndarray, class_names: Sequence[str]) -> Figure | None:
    """A confusion matrix, each row in percent of its class; rows without images are left out.

    None for more than `MOST_ROWS` classes.

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
        figure, (ax,) = _axes(1, width=side + 2.2, height=max(side * len(rows) / r, 2.2) + 1.6)
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


def per_class(accuracy: Sequence[float], sizes: Sequence[int], class_names: Sequence[str]) -> Figure:
    """Accuracy of every class that has images, best first; of many classes, of those that are worst.

    Args:
      accuracy: [r], 0..1; NaN where the class has no images.
      sizes: [r], images of each class.
      class_names: r names.
    """
    values = 100 * np.asarray(accuracy, float)
    every = [k for k in np.argsort(-values, kind="stable") if np.isfinite(values[k])]
    order = every[-_MOST_BARS:]
    with matplotlib.rc_context({**_STYLE, "font.size": 9 if len(order) <= 35 else 7.5}):
        figure, (ax,) = _axes(1, width=5.2, height=max(2.4, 0.19 * len(order) + 1))
        places = np.arange(len(order))
        ax.barh(places, values[order], color=[TARGET if values[k] < 50 else SOURCE for k in order], height=0.72)
        names = all_shown(class_names)
        ax.set_yticks(places, [names[k] for k in order])
        ax.set_ylim(len(order) - 0.4, -0.6)
        for place, k in zip(places, order):
            label = f"{values[k]:.0f} % ({sizes[k]})"
            place_ = {"va": "center", "fontsize": "small", "bbox": {"facecolor": "white", "pad": 0.6, "linewidth": 0}}
            ax.text(values[k] + 1.5, place, label, **place_)
        mean = float(np.nanmean(values))
        ax.axvline(mean, color="#1c2430", linewidth=1, linestyle=":", zorder=0.5)
        worst = f"; worst {len(order)} of {len(every):,} classes" if len(order) < len(every) else ""
        ax.set_title(f"Mean {mean:.1f} % (dotted); below half in red{worst}")
        ax.set_xlim(0, 124)
        ax.set_xticks(range(0, 101, 20))
        ax.grid(axis="y", visible=False)
    return figure


def _axes(count: int, width: float = 5.7, height: float = 3.2) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(width * count, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _names(lines: Lines, prefix: str) -> list[str]:
    """What follows the prefix in the lines' keys: levels from coarse to fine, then the rest."""
    found = {key[len(prefix) :] for line in lines for key in line if key.startswith(prefix)}
    order = ("cross_entropy", "entropy", "domain", "group", "class", "synchronization")
    return sorted(found, key=lambda n: (next((i for i, o in enumerate(order) if n.startswith(o)), len(order)), n))


def _values(lines: Lines, key: str) -> tuple[np.ndarray, np.ndarray]:
    found = [(line["step"], line[key]) for line in lines if line.get(key) is not None]
    return tuple(np.array(column, float) for column in zip(*found)) if found else (np.array([]), np.array([]))


def _curve(ax: Axes, lines: Lines, key: str, title: str, color: str, style: str = "-", percent: bool = False) -> None:
    steps, values = _values(lines, key)
    values = values * (100 if percent else 1)
    if len(values) > _MOST_PLAIN:  # what varies from line to line stays visible behind the mean
        ax.plot(steps, values, style, color=color, alpha=0.18, linewidth=0.9)
        steps, values = _smooth(steps, values)
    marker = "o" if len(steps) <= 12 else None
    ax.plot(steps, values, style, color=color, label=title, marker=marker, markersize=3.5)


def _smooth(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moving mean over about a fortieth of the curve, at the steps where the window is full."""
    width = max(3, len(values) // 40)
    kernel = np.full(width, 1 / width)
    return np.convolve(steps, kernel, "valid"), np.convolve(values, kernel, "valid")


def _finish(ax: Axes, title: str, unit: str, bottom: float | None = None) -> None:
    ax.set_title(title)
    ax.set_xlabel("step")
    ax.set_ylabel(unit)
    if bottom is not None:
        ax.set_ylim(bottom=bottom)
    ax.legend(fontsize=8.5)


def _color(level: str) -> str:
    """Several levels of groups are told apart by their number."""
    if level in _LEVELS:
        return _LEVELS[level]
    digits = "".join(c for c in level if c.isdigit())
    return _EXTRA[int(digits or 0) % len(_EXTRA)]


def _level_title(name: str) -> str:
    return {"domain": "domain, $L^g$"}.get(name, name)


def _class_colors(count: int) -> np.ndarray:
    """[count, 4]; neighbours in the list are far apart in colour."""
    if count <= 10:
        return matplotlib.colormaps["tab10"](np.arange(count))
    hues = (np.arange(count) * 0.618034) % 1
    shade = np.where(np.arange(count) % 2, 0.92, 0.68)
    rgb = matplotlib.colors.hsv_to_rgb(np.stack([hues, np.full(count, 0.78), shade], axis=1))
    return np.concatenate([rgb, np.ones((count, 1))], axis=1)
