"""Results of a sweep as a table in the paper's layout: tasks as columns, average last."""

from __future__ import annotations

import dataclasses
import html
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gsda_tf import methods as methods_lib
from gsda_tf.datasets import published
from gsda_tf.evaluation.selection import SCORES
from gsda_tf.sweeps import significance

_MISSING = "–"


@dataclasses.dataclass(frozen=True)
class Cell:
    """Percent: mean over seeds and, with two or more, the standard deviation between them (n - 1)."""

    mean: float
    deviation: float | None = None
    seeds: int = 1

    @classmethod
    def of(cls, values: Sequence[float]) -> Cell | None:
        """Of shares 0..1, one a seed; None if there are none."""
        if not len(values):
            return None
        percent = 100 * np.asarray(values, float)
        return cls(float(percent.mean()), float(percent.std(ddof=1)) if len(percent) > 1 else None, len(percent))


@dataclasses.dataclass(frozen=True)
class Row:
    """A method: measured here, or published by others (then `source` says where)."""

    title: str
    cells: tuple[Cell | None, ...]
    source: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under the same columns; the last column is the average, if there are two or more.

    Attributes:
      columns: headings.
      measured: rows of this project.
      published: rows of others; not comparable where the backbone or the protocol differs.
      seeds: seeds that a complete cell has.
      best: of each column the row of `measured` whose mean is the highest, if it is above the next one's in more than
        what seeds explain: the 95 % interval of the paired difference excludes 0. Else None.
    """

    columns: tuple[str, ...]
    measured: tuple[Row, ...]
    published: tuple[Row, ...]
    seeds: int
    best: tuple[int | None, ...] = ()


def score_of(summary: Mapping[str, Any]) -> float | None:
    """The accuracy that the benchmark reports, 0..1; None without target labels."""
    return summary[SCORES[summary.get("score", "accuracy")]]


def row_title(row: str) -> str:
    """What a table calls a row of a sweep: a method, and what it has of a grid."""
    method, _, variant = row.partition(" ")
    return ", ".join([methods_lib.title(method), *variant.split()])


def results_table(
    benchmark: str, tasks: Sequence[str], all_tasks: Sequence[str], methods: Sequence[str], summaries: Sequence[Mapping]
) -> Table:
    """Summaries as a table: a row a method, a column a task, or a class where the benchmark has one task by class.

    Args:
      benchmark: its name; "" for data of the user's own.
      tasks: codes of the tasks that were asked for ("A_W").
      all_tasks: codes of all tasks of the benchmark.
      methods: names, in the order of the rows.
      summaries: summary.json of finished runs.
    """
    by_class = [s for s in summaries if s.get("score") == "mean_class_accuracy" and s["target_per_class_accuracy"]]
    if len(tasks) == 1 and by_class:
        columns = list(by_class[0]["target_per_class_accuracy"])
        values = {_key(s): s["target_per_class_accuracy"] for s in by_class}
        order = [c for c in published.columns(benchmark) if c in columns] or columns
        headings = order
    else:
        order = [t for t in published.columns(benchmark) if t in tasks]
        order += [t for t in tasks if t not in order]
        values: dict[tuple[str, int], dict[str, float]] = {}
        for summary in summaries:
            if score_of(summary) is not None:
                values.setdefault(_key(summary), {})[summary["task"].split("/")[-1]] = score_of(summary)
        headings = [code.replace("_", "→") for code in order] if benchmark else ["target"]
    complete = len(tasks) == len(all_tasks)
    measured = tuple(Row(row_title(m), _cells(order, [v for (n, _), v in values.items() if n == m])) for m in methods)
    others = tuple(
        Row(row.title, _published_cells(row, order, complete), row.source)
        for row in published.rows(benchmark)
        if complete or row.values
    )
    average = "Avg" if complete else "Avg of these"
    whole = {key: np.mean([v[c] for c in order]) for key, v in values.items() if all(c in v for c in order)}
    columns = [{key: v[c] for key, v in values.items() if c in v} for c in order]
    best = tuple(_clearly_best(methods, column) for column in (*columns, whole))
    table = Table((*headings, average), measured, others, len({seed for _, seed in values}), best)
    return _without_average(table) if len(order) == 1 else table


def _clearly_best(methods: Sequence[str], column: Mapping[tuple[str, int], float]) -> int | None:
    """`Table.best` of one column, accuracies by (method, seed)."""
    by_method = {m: {("", seed): v for (n, seed), v in column.items() if n == m} for m in methods}
    known = sorted((m for m in methods if by_method[m]), key=lambda m: -np.mean(list(by_method[m].values())))
    if len(known) < 2:
        return None
    low = significance.compare(known[0], known[1], by_method).low
    return list(methods).index(known[0]) if low > 0 else None


def _without_average(table: Table) -> Table:
    """Of one column the average says nothing."""
    short = [
        tuple(dataclasses.replace(row, cells=row.cells[:-1]) for row in rows)
        for rows in (table.measured, table.published)
    ]
    return Table(table.columns[:-1], *short, table.seeds, table.best[:-1])


def _key(summary: Mapping) -> tuple[str, int]:
    return summary["method"], summary["seed"]


def _cells(columns: Sequence[str], seeds: Sequence[Mapping[str, float]]) -> tuple[Cell | None, ...]:
    """One cell a column, then the average over the columns of those seeds that have them all."""
    cells = [Cell.of([values[c] for values in seeds if c in values]) for c in columns]
    whole = [np.mean([values[c] for c in columns]) for values in seeds if all(c in values for c in columns)]
    return (*cells, Cell.of(whole))


def _published_cells(row: published.Published, columns: Sequence[str], complete: bool) -> tuple[Cell | None, ...]:
    cells = tuple(Cell(row.values[c]) if c in row.values else None for c in columns)
    if complete:
        return (*cells, Cell(row.average))
    known = [cell.mean for cell in cells if cell]
    return (*cells, Cell(float(np.mean(known))) if len(known) == len(columns) else None)


def _text(cell: Cell | None, seeds: int) -> str:
    if cell is None:
        return _MISSING
    text = f"{cell.mean:.1f}" + ("" if cell.deviation is None else f" ± {cell.deviation:.1f}")
    return text if cell.seeds == seeds else f"{text} ({cell.seeds} of {seeds})"


def to_markdown(table: Table, note: str = "") -> str:
    """The table in Markdown: measured rows, then the published ones in a table of their own.

    Args:
      table: to write.
      note: how the measured rows came about.
    """
    lines = [f"Measured here{note and ': ' + note}", "", *_markdown_head(("method", *table.columns))]
    for place, row in enumerate(table.measured):
        cells = [_text(cell, table.seeds) for cell in row.cells]
        shown = [f"**{text}**" if best == place else text for text, best in zip(cells, table.best)]
        lines.append("| " + " | ".join((row.title, *shown)) + " |")
    if table.published:
        lines += ["", "Published by others, **not measured here**; ResNet-50 unless a row says otherwise", ""]
        lines += _markdown_head(("published method", *table.columns, "from"))
        for row in table.published:
            cells = (f"*{_text(cell, 1)}*" if cell else _MISSING for cell in row.cells)
            lines.append("| " + " | ".join((f"*{row.title}*", *cells, row.source)) + " |")
    return "\n".join(lines) + "\n"


def _markdown_head(headings: Sequence[str]) -> list[str]:
    return ["| " + " | ".join(headings) + " |", "|---" + "|---:" * (len(headings) - 1) + "|"]


def to_html(table: Table, note: str = "") -> str:
    """The same as HTML. The published rows are a table that can be folded, and is if they outnumber the measured."""
    head = "".join(f"<th>{html.escape(c)}</th>" for c in table.columns)
    rows = [_html_heading(f"Measured here{note and ': ' + note}", table)]
    for place, row in enumerate(table.measured):
        marks = ["best" if best == place else "" for best in table.best]
        rows.append(_html_row(row, table.seeds, marks))
    head = f'<thead><tr><th class="text">method</th>{head}</tr></thead>'
    measured = f'<table class="results">{head}<tbody class="measured">{"".join(rows)}</tbody></table>'
    if not table.published:
        return measured
    rows = []
    for source, group in itertools.groupby(table.published, key=lambda row: row.source):
        said = f"Published by others, not measured here: {source}; ResNet-50 unless a row says otherwise"
        rows += [_html_heading(said, table), *(_html_row(row, 1, [""] * len(row.cells)) for row in group)]
    others = f'<table class="results">{head}<tbody class="published">{"".join(rows)}</tbody></table>'
    unfolded = "" if len(table.published) > len(table.measured) else " open"
    said = f"<summary>Published by others, not measured here: {len(table.published)} rows</summary>"
    return f"{measured}<details{unfolded}>{said}{others}</details>"


def _html_heading(text: str, table: Table) -> str:
    return f'<tr class="heading"><th colspan="{len(table.columns) + 1}">{html.escape(text)}</th></tr>'


def _html_cell(cell: Cell | None, seeds: int) -> str:
    mean, space, rest = _text(cell, seeds).partition(" ")
    return f"{mean}<small>{rest}</small>" if space else mean


def _html_row(row: Row, seeds: int, marks: Sequence[str]) -> str:
    cells = "".join(f'<td class="{mark}">{_html_cell(cell, seeds)}</td>' for cell, mark in zip(row.cells, marks))
    return f"<tr><th>{html.escape(row.title)}</th>{cells}</tr>"
