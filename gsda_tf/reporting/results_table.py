"""The accuracies of a sweep in the paper's layout: methods as rows, tasks as columns, average last."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gsda_tf import methods as methods_lib
from gsda_tf.datasets import published
from gsda_tf.evaluation.selection import SCORES
from gsda_tf.sweeps import significance
from gsda_tf.tables import MISSING, Cell, Table


@dataclasses.dataclass(frozen=True)
class Mean:
    """Percent: mean over seeds and, with two or more, the standard deviation between them (n - 1)."""

    mean: float
    deviation: float | None = None
    seeds: int = 1

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean | None:
        """Returns the mean of shares 0..1, one a seed; None if there are none."""
        if not len(values):
            return None
        percent = 100 * np.asarray(values, float)
        return cls(float(percent.mean()), float(percent.std(ddof=1)) if len(percent) > 1 else None, len(percent))


@dataclasses.dataclass(frozen=True)
class Row:
    """A method: measured here, or published by others (then `source` says where)."""

    title: str
    cells: tuple[Mean | None, ...]
    source: str = ""


@dataclasses.dataclass(frozen=True)
class ResultsTable:
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

    def shown(self) -> Table:
        """Returns the rows of this project, to be shown."""
        rows = [
            (row.title, *(_shown(mean, self.seeds, best == place) for mean, best in zip(row.cells, self.best)))
            for place, row in enumerate(self.measured)
        ]
        return Table(("method", *self.columns), rows)

    def shown_others(self) -> Table:
        """Returns the rows of others, to be shown."""
        rows = [(row.title, *(_shown(mean, 1) for mean in row.cells), row.source) for row in self.published]
        return Table(("published method", *self.columns, "from"), rows, (0, -1), quoted=True)


def score_of(summary: Mapping[str, Any]) -> float | None:
    """Returns the accuracy that the benchmark reports, 0..1; None without target labels."""
    return summary.get(SCORES[summary.get("score", "accuracy")])


def row_title(row: str) -> str:
    """Returns what a table calls a row of a sweep: a method, and what it has of a grid."""
    method, _, variant = row.partition(" ")
    return ", ".join([methods_lib.title(method), *variant.split()])


def results_table(
    benchmark: str, tasks: Sequence[str], all_tasks: Sequence[str], methods: Sequence[str], summaries: Sequence[Mapping]
) -> ResultsTable:
    """Makes a table: a row a method, a column a task, or a class where the benchmark has one task and reports by class.

    Args:
      benchmark: its name; "" for data of the user's own.
      tasks: codes of the tasks that were asked for ("A_W").
      all_tasks: codes of all tasks of the benchmark.
      methods: names, in the order of the rows.
      summaries: summary.json of finished runs.
    """
    by_class = [s for s in summaries if s.get("score") == "mean_class_accuracy" and s.get("target_per_class_accuracy")]
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
    end = 1 if len(order) == 1 else None  # of one column the average says nothing
    measured = [Row(row_title(m), _cells(order, [v for (n, _), v in values.items() if n == m])[:end]) for m in methods]
    others = [
        Row(row.title, _published_cells(row, order, complete)[:end], row.source)
        for row in published.rows(benchmark)
        if complete or row.values
    ]
    average = "Avg" if complete else "Avg of these"
    whole = {key: np.mean([v[c] for c in order]) for key, v in values.items() if all(c in v for c in order)}
    columns = [{key: v[c] for key, v in values.items() if c in v} for c in order]
    best = tuple(_clearly_best(methods, column) for column in (*columns, whole))[:end]
    seeds = len({seed for _, seed in values})
    return ResultsTable((*headings, average)[:end], tuple(measured), tuple(others), seeds, best)


def _clearly_best(methods: Sequence[str], column: Mapping[tuple[str, int], float]) -> int | None:
    """`ResultsTable.best` of one column, accuracies by (method, seed)."""
    by_method = {m: {("", seed): v for (n, seed), v in column.items() if n == m} for m in methods}
    known = sorted((m for m in methods if by_method[m]), key=lambda m: -np.mean(list(by_method[m].values())))
    if len(known) < 2:
        return None
    low = significance.compare(known[0], known[1], by_method).low
    return list(methods).index(known[0]) if low > 0 else None


def _key(summary: Mapping) -> tuple[str, int]:
    return summary["method"], summary["seed"]


def _cells(columns: Sequence[str], seeds: Sequence[Mapping[str, float]]) -> tuple[Mean | None, ...]:
    """One cell a column, then the average over the columns of those seeds that have them all."""
    cells = [Mean.of([values[c] for values in seeds if c in values]) for c in columns]
    whole = [np.mean([values[c] for c in columns]) for values in seeds if all(c in values for c in columns)]
    return (*cells, Mean.of(whole))


def _published_cells(row: published.Published, columns: Sequence[str], complete: bool) -> tuple[Mean | None, ...]:
    cells = tuple(Mean(row.values[c]) if c in row.values else None for c in columns)
    if complete:
        return (*cells, Mean(row.average))
    known = [cell.mean for cell in cells if cell]
    return (*cells, Mean(float(np.mean(known))) if len(known) == len(columns) else None)


def _shown(mean: Mean | None, seeds: int, strong: bool = False) -> Cell:
    if mean is None:
        return Cell(MISSING)
    spread = "" if mean.deviation is None else f"± {mean.deviation:.1f}"
    some = "" if mean.seeds == seeds else f"({mean.seeds} of {seeds})"
    return Cell(f"{mean.mean:.1f}", f"{spread} {some}".strip(), strong)
