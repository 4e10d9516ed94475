"""Draws the method as a diagram: `python docs/method.py` writes docs/pictures/method.svg."""

from __future__ import annotations

import os

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

_INK, _QUIET, _SOURCE, _TARGET, _NETWORK, _JUDGE, _SYNC = (
    "#1c2430", "#4a5565", "#2457a6", "#b83b4b", "#33475f", "#a86205", "#6a2fc4",
)  # fmt: skip
_CARD = "#fbfcfe"


def _box(ax: Axes, x: float, y: float, width: float, height: float, text: str, color: str, small: str = "") -> None:
    """A rounded box with its middle at (x, y)."""
    corner = (x - width / 2, y - height / 2)
    style = {"boxstyle": "round,pad=0,rounding_size=0.12", "linewidth": 1.6, "edgecolor": color}
    ax.add_patch(FancyBboxPatch(corner, width, height, facecolor=matplotlib.colors.to_rgba(color, 0.09), **style))
    ax.text(x, y + (0.16 if small else 0), text, ha="center", va="center", color=color, fontsize=12, fontweight="bold")
    if small:
        ax.text(x, y - 0.19, small, ha="center", va="center", color=_INK, fontsize=10.5)


def _arrow(ax: Axes, start, end, color: str, both: bool = False, dashed: bool = False, bend: float = 0.0) -> None:
    ax.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="<|-|>" if both else "-|>", mutation_scale=13, linewidth=1.6, color=color,
            linestyle="--" if dashed else "-", connectionstyle=f"arc3,rad={bend}", shrinkA=2, shrinkB=2,
        )
    )  # fmt: skip


def draw() -> Figure:
    """The diagram, on a card of its own: it is read on light and on dark pages."""
    figure = Figure(figsize=(11, 5.2), facecolor="none")
    FigureCanvasSVG(figure)
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, 11), ylim=(0, 5.2))
    ax.axis("off")
    card = {"boxstyle": "round,pad=0,rounding_size=0.15", "facecolor": _CARD, "edgecolor": "#c9d1dc", "linewidth": 1}
    ax.add_patch(FancyBboxPatch((0.06, 0.06), 10.88, 5.08, **card))

    _box(ax, 1.2, 3.55, 1.9, 0.95, "source images", _SOURCE, "with labels")
    _box(ax, 1.2, 1.65, 1.9, 0.95, "target images", _TARGET, "without labels")
    _box(ax, 3.35, 2.6, 1.25, 1.25, "E", _NETWORK, "extractor")
    _arrow(ax, (2.15, 3.5), (2.73, 2.95), _SOURCE)
    _arrow(ax, (2.15, 1.7), (2.73, 2.25), _TARGET)
    _arrow(ax, (3.98, 2.6), (4.62, 2.6), _NETWORK)
    ax.text(
        4.83, 2.6, "f", ha="center", va="center", fontsize=17, fontstyle="italic", color=_NETWORK, fontweight="bold"
    )
    ax.text(4.52, 2.22, "features", ha="center", va="center", fontsize=10.5, color=_QUIET)

    _box(ax, 6.5, 4.4, 1.9, 0.95, "C", _NETWORK, "classifier")
    _arrow(ax, (4.95, 2.8), (5.55, 4.2), _NETWORK)
    _arrow(ax, (7.45, 4.4), (8.05, 4.4), _NETWORK)
    ax.text(8.15, 4.55, "source: loss/classification", va="center", fontsize=10.5, color=_INK)
    ax.text(8.15, 4.25, "target: loss/entropy", va="center", fontsize=10.5, color=_INK)

    levels = (
        (3.2, "domain", "1 discriminator"),
        (2.1, "groups", "1 for each group"),
        (1.0, "classes", "1 for each class"),
    )
    for y, name, count in levels:
        _box(ax, 6.5, y, 1.9, 0.8, name, _JUDGE, count)
        _arrow(ax, (5.02, 2.6 + 0.1 * (y - 2.1)), (5.55, y), _JUDGE, both=True)
    for y in (2.65, 1.55):
        _arrow(ax, (7.62, y - 0.42), (7.62, y + 0.42), _SYNC, both=True, bend=0.0)
    ax.text(7.85, 2.62, "Synchronization", va="center", fontsize=12, fontweight="bold", color=_SYNC)
    told = ("all levels pull on a feature", "equally hard:", r"$S_{domain} = \Sigma\,S_{group} = \Sigma\,S_{class}$")
    for place, line in enumerate(told):
        ax.text(7.85, 2.28 - 0.31 * place, line, va="center", fontsize=10.5, color=_INK)
    ax.text(
        5.5, 0.32, "Each discriminator asks: source or target? E learns features on which none can tell.",
        ha="center", va="center", fontsize=10, color=_JUDGE,
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures")
    os.makedirs(folder, exist_ok=True)
    # Letters as outlines look alike everywhere; without date and random names the file is the same each time.
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "gsda_tf"}):
        draw().savefig(os.path.join(folder, "method.svg"), metadata={"Date": None}, transparent=True)
