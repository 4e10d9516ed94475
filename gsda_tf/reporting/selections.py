"""Comparison of ways of choosing a checkpoint, over the finished runs of a sweep."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gsda_tf.errors import UserError
from gsda_tf.evaluation import selection

ORACLE = "oracle"
"""Chooses by target labels: what the best possible choice would have given, never a result."""


@dataclasses.dataclass(frozen=True)
class Selections:
    """Accuracy by criterion.

    Attributes:
      runs: number of runs.
      accuracy: mean target accuracy, 0..1, at the selected evaluations, by criterion; `ORACLE` is last.
      worst: the most that the criterion loses against the oracle in one run, 0..1.
    """

    runs: int
    accuracy: dict[str, float]
    worst: dict[str, float]


def selected_accuracies(lines: Sequence[Mapping[str, Any]], key: str = "accuracy/target") -> dict[str, float] | None:
    """Returns the target accuracy of each criterion's checkpoint of one run.

    Args:
      lines: of its metrics.jsonl.
      key: the accuracy that the benchmark reports.

    Returns:
      Accuracy 0..1 by criterion, `ORACLE` last; a criterion whose score was never logged is left out. None if
      the target has no labels.
    """
    try:
        best = selection.oracle(lines, key)
    except UserError:
        return None
    found = {}
    for name in selection.CRITERIA:
        try:
            found[name] = selection.at_step(lines, selection.best(lines, name)).get(key)
        except UserError:
            continue
    return {**found, ORACLE: selection.at_step(lines, best)[key]}


def compare_selections(runs: Sequence[tuple[Sequence[Mapping[str, Any]], str]]) -> Selections | None:
    """Compares the criteria over runs.

    Args:
      runs: (lines of metrics.jsonl, key of the accuracy that the benchmark reports) of each run.

    Returns:
      Over the runs and the criteria that all of them have; None if no run has target labels.
    """
    found = [f for f in (selected_accuracies(lines, key) for lines, key in runs) if f]
    if not found:
        return None
    names = [name for name in found[0] if all(name in f for f in found)]
    return Selections(
        runs=len(found),
        accuracy={name: float(np.mean([f[name] for f in found])) for name in names},
        worst={name: max(float(f[ORACLE] - f[name]) for f in found) for name in names},
    )
