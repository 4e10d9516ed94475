"""The accuracies of a sweep in the paper's layout: methods as rows, tasks as columns, average last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gsda_tf import methods as methods_lib
from gsda_tf.datasets import get_benchmark, published
from gsda_tf.evaluation.selection import SCORES
from gsda_tf.sweeps import significance
from gsda_tf.tables import MISSING, Cell, Table


def score_of(summary: Mapping[str, Any]) -> float | None:
    """Returns the accuracy that the benchmark reports, 0..1; None without target labels."""
    return summary.get(SCORES[summary.get("score", "accuracy")])


def row_title(row: str) -> str:
    """Returns what a table calls a row of a sweep: a method, and what it has of a grid."""
    method, _, variant = row.partition(" ")
    return ", ".join([methods_lib.title(method), *variant.split()])


def results_tables(
    benchmark: str, tasks: Sequence[str], methods: Sequence[str], summaries: Sequence[Mapping[str, Any]]
) -> tuple[Table, Table]:
    """Makes tables: a row a method, a column a task, or a class where the benchmark has one task and reports by class.

    The last column is the average, if there are two or more. Bold is what is above the next one by more than seeds
    explain: the 95 % interval of the paired difference excludes 0.

    Args:
      benchmark: its name; "" for data of the user's own.
      tasks: codes of the tasks that were asked for ("A_W").
      methods: names, in the order of the rows.
      summaries: summary.json of finished runs.

    Returns:
      The rows of this project, percent, mean over seeds ± their standard deviation; and those that others published,
      not comparable where the backbone or the protocol differs.
    """
    by_class = [s for s in summaries if s.get("score") == "mean_class_accuracy" and s.get("target_per_class_accuracy")]
    by_class = by_class if len(tasks) == 1 else []
    values: dict[tuple[str, int], dict[str, float]] = {}
    for summary in by_class or [s for s in summaries if score_of(s) is not None]:
        found = (
            summary["target_per_class_accuracy"] if by_class else {summary["task"].split("/")[-1]: score_of(summary)}
        )
        values.setdefault((summary["method"], summary["seed"]), {}).update(found)
    known = list(by_class[0]["target_per_class_accuracy"]) if by_class else list(tasks)
    order = [c for c in published.columns(benchmark) if c in known]
    order += [] if by_class and order else [c for c in known if c not in order]
    complete = not benchmark or len(tasks) == len(get_benchmark(benchmark).tasks)
    average = "Avg" if complete else "Avg of these"
    headings = {c: c if by_class else c.replace("_", "→") if benchmark else "target" for c in order}
    columns = {headings[c]: {key: 100 * v[c] for key, v in values.items() if c in v} for c in order}
    if len(order) > 1:  # of one column the average says nothing
        whole = {key: v for key, v in values.items() if {*order} <= v.keys()}
        columns[average] = {key: 100 * np.mean([v[c] for c in order]) for key, v in whole.items()}
    seeds = len({seed for _, seed in values})
    rows = zip(map(row_title, methods), *(_cells(column, methods, seeds) for column in columns.values()))
    others = []
    for row in published.rows(benchmark):
        cells = {headings[c]: row.values[c] for c in order if c in row.values}
        if complete or len(cells) == len(order):
            cells[average] = row.average if complete else np.mean([*cells.values()])
        if complete or row.values:
            shown = (f"{cells[heading]:.1f}" if heading in cells else MISSING for heading in columns)
            others.append((row.title, *shown, row.source))
    head = ("published method", *columns, "from")
    return Table(("method", *columns), list(rows)), Table(head, others, (0, -1), quoted=True)


def _cells(column: Mapping[tuple[str, int], float], methods: Sequence[str], seeds: int) -> list[Cell]:
    """Returns the cell of each method; `seeds` are those that a complete one has."""
    values = {m: {seed: value for (name, seed), value in column.items() if name == m} for m in methods}
    means = {m: np.mean([*values[m].values()]) for m in methods if values[m]}
    first, second = [*sorted(means, key=lambda m: -means[m]), None, None][:2]
    best = first if second and significance.compare(values[first], values[second]).low > 0 else None
    cells = []
    for method in methods:
        found = [*values[method].values()]
        spread = f"± {np.std(found, ddof=1):.1f}" if len(found) > 1 else ""
        some = f"({len(found)} of {seeds})" if 0 < len(found) < seeds else ""
        text = f"{means[method]:.1f}" if found else MISSING
        cells.append(Cell(text, f"{spread} {some}".strip(), method == best))
    return cells
