"""The pictures of a run. Each function takes numbers and returns figures; curves come as one figure a panel, as a
narrow screen shows them below each other, and as none where there is nothing to show."""

from __future__ import annotations

import functools
import io
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gsda_tf.errors import shown

Lines = Sequence[Mapping[str, float]]
Columns = Mapping[str, np.ndarray]
"""[2, n] by key: steps, and what was logged at them."""

SOURCE, TARGET, REFERENCE = "#2457a6", "#d1495b", "#5d6878"
_QUIET = "#8a94a3"
_COLORS = {
    "domain": "#1c2430", "group": "#e08e0b", "class": "#2a9d6f", "synchronization": "#8a3ffc", "source": SOURCE,
    "target": TARGET, "target_mean_class": TARGET, "target, source only": REFERENCE, "pool_share": _QUIET,
}  # fmt: skip
"""Of curves, by the last part of their key; the others take the next colour of the style."""
_DASHES = {"target_mean_class": ":", "target, source only": "--"}
_MOST_PLAIN = 100
"""A curve of more points is drawn with its moving mean."""
MOST_ROWS = 200
"""A matrix of more classes has names that nobody can read, and takes a minute to draw."""
MOST_BARS = 40
_FAMILIES = (
    "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "WenQuanYi Zen Hei",
    "Droid Sans Fallback", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans", "Arial Unicode MS",
)  # fmt: skip
_FONTS = [name for name in _FAMILIES if name in font_manager.get_font_names()]
_LONGEST = 40


@functools.lru_cache(maxsize=1)
def characters() -> frozenset[int]:
    """Returns what can be drawn: the characters of the fonts that are installed."""
    files = map(font_manager.findfont, _FONTS)
    return frozenset().union(*(font_manager.get_font(file).get_charmap() for file in files))


def legible(names: Sequence[str]) -> list[str]:
    """Names of classes as matplotlib draws them as plain text; "class 3" for one that no font here can draw."""
    found = []
    for number, name in enumerate(names):
        text = shown(name)
        if undrawable(text):
            text = f"class {number}"
        elif len(text) > _LONGEST:
            text = text[: _LONGEST - 1] + "…"
        # A pair of $ would make it mathematics, and a legend leaves out what begins with an underscore.
        found.append((" " * text.startswith("_") + text).replace("$", r"\$"))
    return found


def undrawable(text: str) -> bool:
    """Returns whether a character is in no font here."""
    return not characters().issuperset(map(ord, text))


_STYLE = [os.path.join(os.path.dirname(__file__), "templates", "figures.mplstyle"), {"font.family": _FONTS}]


def png(figure: Figure, dpi: int = 130) -> bytes:
    """Returns the figure as a PNG file."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi)
    return out.getvalue()


def curves(lines: Lines, source_only: Lines = ()) -> dict[str, list[Figure]]:
    """Draws what was logged over steps.

    Args:
      lines: of the run.
      source_only: of the run that aligns nothing, whose target accuracy is drawn beside.

    Returns:
      Figures by the part of the page that they belong to: "losses", the terms that E and C minimise and the loss of the
      discriminators by level; "accuracies" that change in training, as a curve that stays where it is flattens the
      others, and two points are no curve; accuracies of the "discriminators"; "synchronization", S summed over each
      level, and how far apart neighbouring levels are, (10)-(12); "distance" of the domains.
    """
    logged = _columns(lines)
    trained = _trained(logged)
    critics = _named(logged, "accuracy/discriminator_")
    # What is 0 throughout is not measured.
    terms = {key: v for key, v in _named(logged, "loss/").items() if v[1].any() and key != "loss/synchronization"}
    sums = _named(logged, "S/")
    apart = _named(logged, "difference/", "loss/synchronization") if sums else {}
    far = _named(logged, "score/a_distance") if trained.get("score/a_distance", np.zeros([2, 0])).shape[1] > 1 else {}
    far.pop("score/a_distance_spread", None)
    drawn = {
        "losses": [
            ("Losses of extractor and classifier", "nats", terms),
            ("Alignment", "", _named(logged, "alignment/"), (np.log(2), "chance, log 2") if critics else None),
        ],
        "accuracies": [("Accuracy", "percent", _accuracies(trained, _trained(_columns(source_only))))],
        "discriminators": [("Discriminators", "percent", critics, (0.5, "chance"))],
        "synchronization": [
            ("Gradient magnitude $S$, summed over each level", "S", sums),
            (r"What is out of step: $|S-\Sigma S|$", "S", apart),
        ],
        "distance": [("Distance of the domains", "A-distance, 0..2", far)],
    }
    return {part: [_curves(*panel) for panel in panels if panel[2]] for part, panels in drawn.items()}


def _columns(lines: Lines) -> dict[str, np.ndarray]:
    """Values by key: levels from coarse to fine, then the rest."""
    found = defaultdict(list)
    for line in lines:
        for key, value in line.items():
            if value is not None:
                found[key].append((line["step"], value))
    order = ("classification", "entropy", "domain", "group", "class", "synchronization")

    def place(key: str) -> tuple[int, str]:
        return next((i for i, o in enumerate(order) if _name(key).startswith(o)), len(order)), key

    return {key: np.array(found[key], float).T for key in sorted(found, key=place)}


def _name(key: str) -> str:
    return key.rpartition("/")[2].removeprefix("discriminator_")


def _named(logged: Columns, *beginnings: str) -> dict[str, np.ndarray]:
    return {key: values for key, values in logged.items() if key.startswith(beginnings)}


def _trained(logged: Columns) -> dict[str, np.ndarray]:
    """What was logged in training, behind step 0."""
    return {key: values[:, values[0] > 0] for key, values in logged.items() if values[0].any()}


def _accuracies(logged: Columns, source_only: Columns) -> dict[str, np.ndarray]:
    keys = ("accuracy/source", "accuracy/target", "accuracy/target_mean_class", "pool_share")
    chosen = {key: logged[key] for key in keys if key in logged and len(np.unique(logged[key][1])) > 1}
    if not chosen.keys() - {"pool_share"}:
        return {}
    if "accuracy/target" in source_only:
        chosen["accuracy/target, source only"] = source_only["accuracy/target"]
    return chosen


@matplotlib.style.context(_STYLE)
def _curves(title: str, unit: str, drawn: Columns, chance: tuple[float, str] | None = None) -> Figure:
    figure, ax = _panel(title)
    scale = 100 if unit == "percent" else 1
    for key, (steps, values) in drawn.items():
        name = _name(key)
        look = {"label": key, "color": _COLORS.get(name), "linestyle": _DASHES.get(name, "-")}
        values = scale * values
        marker = "o" if len(steps) <= 12 else None
        if len(values) > _MOST_PLAIN:  # what varies from line to line stays visible behind the mean
            (plain,) = ax.plot(steps, values, **{**look, "label": "_", "alpha": 0.18, "linewidth": 0.9})
            look["color"] = plain.get_color()
            width = max(3, len(values) // 40)
            steps, values = (np.convolve(x, np.full(width, 1 / width), "valid") for x in (steps, values))
        (line,) = ax.plot(steps, values, marker=marker, markersize=3.5, **look)
        if len(values) < 3:  # too few to be a curve
            near = {"xytext": (5, 4), "textcoords": "offset points", "color": line.get_color(), "fontsize": "small"}
            for step, value in zip(steps, values):
                ax.annotate(f"{value:.3g}", (step, value), **near)
    if chance is not None:
        ax.axhline(scale * chance[0], color=_QUIET, linestyle=":", linewidth=1, label=chance[1])
    ax.set(xlabel="step", ylabel=unit)
    if scale == 100:  # what is within the noise looks like it
        low, high = ax.get_ylim()
        ax.set_ylim(max(low - 1.5, 0), min(high + 1.5, 100.4))
    return _legend(figure, ax)


@matplotlib.style.context([*_STYLE, {"axes.grid": False}])
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
    count = len(class_names)
    if count <= 10:
        colors = matplotlib.colormaps["tab10"](np.arange(count))
    else:  # neighbours in the list are far apart in colour
        colors = matplotlib.colormaps["gist_rainbow"]((np.arange(count) * 0.618034) % 1)
    colors = np.concatenate([colors, [matplotlib.colors.to_rgba(_QUIET)]])  # -1 is the last: grey
    edge, names = "#1c2430", legible(class_names) if count <= 12 else ()
    found = []
    for title, source, target in panels:
        figure, ax = _panel(title, 4.4, 4.6)
        ax.scatter(*source.T, c=colors[source_classes], s=16, marker="o", alpha=0.55, linewidths=0)
        ax.scatter(*target.T, c=colors[target_classes], s=24, marker="^", alpha=0.9, linewidths=0.5, edgecolors=edge)
        ax.plot([], [], "o", color=_QUIET, markeredgecolor="none", label="source")
        ax.plot([], [], "^", color=_QUIET, markeredgecolor=edge, label="target")
        for color, name in zip(colors, names):
            ax.plot([], [], "s", color=color, label=name)
        ax.set(xticks=[], yticks=[])
        ax.spines[["left", "bottom"]].set_visible(False)
        columns = 6 if max(map(len, class_names), default=0) < 5 else 3
        figure.legend(loc="outside lower center", ncols=columns, handletextpad=0.1)
        found.append(figure)
    return found


@matplotlib.style.context([*_STYLE, {"axes.grid": False}])
def confusion(counts: np.ndarray, class_names: Sequence[str]) -> Figure | None:
    """Draws a confusion matrix, each row in percent of its class; rows without images are left out.

    Returns None for more than `MOST_ROWS` classes.

    Args:
      counts: int [r, r], true class by predicted class.
      class_names: r names.
    """
    r = len(class_names)
    if r > MOST_ROWS:
        return None
    rows, names = np.flatnonzero(counts.sum(axis=1)), legible(class_names)
    shares = 100 * counts[rows] / counts[rows].sum(axis=1, keepdims=True)
    side = np.clip(0.185 * r, 3, 9.5)
    figure, ax = _panel("", side + 1.7, max(side * len(rows) / r, 2.2) + 1.6)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    small = 9 if r <= 35 else 6.5
    ax.set_xticks(range(r), names, rotation=90, fontsize=small)
    ax.set_yticks(range(len(rows)), [names[k] for k in rows], fontsize=small)
    ax.set(xlabel="predicted", ylabel="true")
    ax.spines[:].set_visible(False)
    for (i, j), share in np.ndenumerate(shares):
        if r <= 12 and share >= 0.5:
            ax.text(j, i, f"{share:.0f}", ha="center", va="center", color="white" if share > 55 else "#3a4452")
    figure.colorbar(image, ax=ax, label="percent of the true class", fraction=0.04, pad=0.02)
    return figure


@matplotlib.style.context(_STYLE)
def bars(title: str, unit: str, names: Sequence[str], shares: Mapping[str, np.ndarray]) -> Figure:
    """Draws shares by class.

    Args:
      title: of the figure.
      unit: below the axis.
      names: m, as `legible` makes them, from top to bottom.
      shares: float [m], 0..1, by what has them; the first have their numbers beside.
    """
    figure, ax = _panel(title, 4.4, 0.26 * len(names) + 1.3)
    places, height = np.arange(len(names)), 0.76 / len(shares)
    colors = (TARGET, REFERENCE if "source only" in shares else SOURCE)
    for number, (label, values) in enumerate(shares.items()):
        offset = (number - (len(shares) - 1) / 2) * height
        drawn = ax.barh(places + offset, 100 * values, height, label=label, color=colors[number])
        if not number:
            ax.bar_label(drawn, fmt="%.0f", padding=3, fontsize="small")
    ax.set_yticks(places, names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.margins(x=0.1)
    ax.set_xlabel(unit)
    ax.grid(axis="y", visible=False)
    return _legend(figure, ax)


def _panel(title: str, width: float = 4.4, height: float = 3.2) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    ax.set_title(title)
    return figure, ax


def _legend(figure: Figure, ax: Axes) -> Figure:
    """Below the axes: over the curves it hides what it names."""
    longest = max(map(len, ax.get_legend_handles_labels()[1]), default=0)
    figure.legend(loc="outside lower left", ncols=2 if longest <= 22 else 1, fontsize=9)
    return figure
