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

Column = Mapping["tuple[str, int]", float]
"""Accuracies 0..1 by (method, seed)."""


@dataclasses.dataclass(frozen=True)
class ResultsTable:
    """Methods under the same columns; the last column is the average, if there are two or more.

    Attributes:
      columns: accuracies by heading.
      methods: names, in the order of the rows.
      published: (title, percent by heading, where it is from) of rows of others; not comparable where the backbone or
        the protocol differs.
    """

    columns: Mapping[str, Column]
    methods: Sequence[str]
    published: Sequence[tuple[str, Mapping[str, float], str]]

    @property
    def seeds(self) -> int:
        """Seeds that a complete cell has."""
        return len({seed for column in self.columns.values() for _, seed in column})

    def shown(self) -> Table:
        """Returns the rows of this project. Bold is what is above the next one by more than seeds explain: the 95 %
        interval of the paired difference excludes 0."""
        best = {heading: _clearly_best(self.methods, column) for heading, column in self.columns.items()}
        rows = [
            (row_title(m), *(self._cell(_percent(column, m), best[h] == m) for h, column in self.columns.items()))
            for m in self.methods
        ]
        return Table(("method", *self.columns), rows)

    def shown_others(self) -> Table:
        """Returns the rows of others."""
        rows = [
            (title, *(f"{values[h]:.1f}" if h in values else MISSING for h in self.columns), source)
            for title, values, source in self.published
        ]
        return Table(("published method", *self.columns, "from"), rows, (0, -1), quoted=True)

    def _cell(self, values: np.ndarray, strong: bool) -> Cell:
        if not len(values):
            return Cell(MISSING)
        spread = f"± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
        some = "" if len(values) == self.seeds else f"({len(values)} of {self.seeds})"
        return Cell(f"{values.mean():.1f}", f"{spread} {some}".strip(), strong)


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
    values: dict[tuple[str, int], dict[str, float]] = {}
    by_class = [s for s in summaries if s.get("score") == "mean_class_accuracy" and s.get("target_per_class_accuracy")]
    by_class = by_class if len(tasks) == 1 else []
    for summary in by_class or summaries:
        task = {summary["task"].split("/")[-1]: score_of(summary)} if score_of(summary) is not None else {}
        found = summary["target_per_class_accuracy"] if by_class else task
        values.setdefault((summary["method"], summary["seed"]), {}).update(found)
    known = list(by_class[0]["target_per_class_accuracy"]) if by_class else list(tasks)
    order = [c for c in published.columns(benchmark) if c in known]
    order += [] if by_class and order else [c for c in known if c not in order]
    complete = len(tasks) == len(all_tasks)
    average = "Avg" if complete else "Avg of these"
    headings = {c: c if by_class else c.replace("_", "→") if benchmark else "target" for c in order}
    columns = {headings[c]: {key: v[c] for key, v in values.items() if c in v} for c in order}
    others = []
    for row in published.rows(benchmark):
        cells = {headings[c]: row.values[c] for c in order if c in row.values}
        if complete:
            cells[average] = row.average
        elif len(cells) == len(order):
            cells[average] = float(np.mean(list(cells.values())))
        if complete or row.values:
            others.append((row.title, cells, row.source))
    if len(order) > 1:  # of one column the average says nothing
        columns[average] = {key: np.mean([v[c] for c in order]) for key, v in values.items() if {*order} <= v.keys()}
    return ResultsTable(columns, methods, others)


def _percent(column: Column, method: str) -> np.ndarray:
    return 100 * np.array([value for (name, _), value in column.items() if name == method], float)


def _clearly_best(methods: Sequence[str], column: Column) -> str | None:
    by_method = {m: {("", seed): v for (n, seed), v in column.items() if n == m} for m in methods}
    first, second = [*sorted(filter(by_method.get, methods), key=lambda m: -_percent(column, m).mean()), None, None][:2]
    return first if second and significance.compare(first, second, by_method).low > 0 else None
