"""Draws what imports what, from the code: `python docs/structure.py` writes docs/pictures/structure.svg.

A room is a folder or a file of the package; it stands above all that it imports. An import that leads upward, or in a
circle, ends the script: the picture is also the check (`tests/docs/test_structure.py`).
"""

from __future__ import annotations

import ast
import os
import pathlib
from collections import defaultdict

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOT = pathlib.Path(__file__).resolve().parent.parent
_PACKAGES = ("gsda_tf", "launch", "benchmarks")
_INK, _ROOM, _FILE = "#1c2430", "#2457a6", "#6b7686"
_MOST_IN_ROW = 8


def modules() -> dict[str, pathlib.Path]:
    """Files of the packages by the name of their module."""
    found = {}
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports() -> dict[str, set[str]]:
    """What each module imports of the packages' modules, under TYPE_CHECKING and inside functions, too."""
    known = modules()
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        taken = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                taken |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                taken |= {each if each in known else node.module for each in whole}
        found[name] = {each for each in taken if each in known and each != name}
    return found


def rooms() -> dict[str, set[str]]:
    """What each room imports of other rooms: folders of gsda_tf, its single files, launch and benchmarks."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, taken in imports().items():
        mine = _room(name)
        found[mine] |= {_room(each) for each in taken} - {mine}
    return {room: taken for room, taken in found.items() if room != "gsda_tf"}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The nodes that reach themselves."""

    def reached(start: str) -> set[str]:
        seen, waiting = set(), list(graph[start])
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting += graph.get(node, ())
        return seen

    return sorted(node for node in graph if node in reached(node))


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """How high each node stands: one above the highest that it imports."""
    height: dict[str, int] = {}

    def stand(node: str) -> int:
        if node not in height:
            height[node] = 1 + max((stand(each) for each in graph[node] if each in graph), default=0)
        return height[node]

    for node in graph:
        stand(node)
    return height


def _room(name: str) -> str:
    return ".".join(name.split(".")[:2]) if name.startswith("gsda_tf") else name.split(".")[0]


def draw() -> Figure:
    """The picture, on a card of its own: it is read on light and on dark pages."""
    graph = rooms()
    height, lines = floors(graph), _lines()
    rows: dict[int, list[str]] = defaultdict(list)
    for room in sorted(graph):
        rows[height[room]].append(room)
    top = max(rows)
    place = {}
    for floor, row in rows.items():
        for i, room in enumerate(row):
            place[room] = ((i + 0.5) / len(row) * _MOST_IN_ROW * 1.3, float(floor))
    figure = Figure(figsize=(12, 0.86 * top + 0.4), facecolor="#fbfcfe")
    ax = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    ax.set_xlim(-0.2, _MOST_IN_ROW * 1.3 + 0.2)
    ax.set_ylim(0.4, top + 0.6)
    ax.axis("off")
    for room, taken in graph.items():
        for other in taken & set(place):
            (x, y), (u, v) = place[room], place[other]
            ax.plot([x, u], [y - 0.2, v + 0.2], color=_ROOM, alpha=0.16, linewidth=0.9, zorder=1)
    for room, (x, y) in place.items():
        name = room.removeprefix("gsda_tf.")
        folder = (ROOT / room.replace(".", os.sep)).is_dir()
        color = _ROOM if folder else _FILE
        width = 0.32 + 0.085 * len(name)
        style = {"boxstyle": "round,pad=0,rounding_size=0.06", "linewidth": 1.3, "edgecolor": color, "zorder": 2}
        face = matplotlib.colors.to_rgb(color)
        tint = tuple(1 - 0.1 * (1 - c) for c in face)
        ax.add_patch(FancyBboxPatch((x - width / 2, y - 0.22), width, 0.44, facecolor=tint, **style))
        text = {"ha": "center", "va": "center", "zorder": 3}
        ax.text(x, y + 0.06, name + ("/" if folder else ""), color=color, fontsize=9.5, fontweight="bold", **text)
        ax.text(x, y - 0.12, f"{lines[room]:,} lines", color=_INK, fontsize=6.5, **text)
    return figure


def _lines() -> dict[str, int]:
    counted: dict[str, int] = defaultdict(int)
    for name, path in modules().items():
        counted[_room(name)] += sum(1 for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return counted


def main() -> None:
    bad = circles(imports()) or circles(rooms())
    if bad:
        raise SystemExit(f"In a circle: {', '.join(bad)}.")
    matplotlib.rcParams["svg.hashsalt"] = "gsda_tf"  # the same file from the same code
    path = ROOT / "docs" / "pictures" / "structure.svg"
    FigureCanvasSVG(draw()).print_svg(str(path), metadata={"Date": None})
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
