"""Criteria for the evaluation to trust, without target labels; and, for comparison only, the oracle that uses them.

Every criterion has a blind spot. Entropy is least for a model that calls everything one class. SND is highest
where all predictions are alike, so also before training has begun to tell classes apart. The A-distance is least
for features that carry nothing. Information maximization falls for neither extreme, but rewards a model that is
sure of wrong classes, as long as it uses them all; source accuracy says nothing about the target.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from gsda_tf.errors import UserError, choose


@dataclasses.dataclass(frozen=True)
class Criterion:
    """An order of evaluations.

    Attributes:
      key: of the evaluation's line in metrics.jsonl.
      sign: 1 where more is better, -1 where less is.
      title: as in tables.
    """

    key: str
    sign: int
    title: str


SCORES = {"accuracy": "accuracy/target", "mean_class_accuracy": "accuracy/target_mean_class"}
"""Accuracies that a benchmark may report, as the log and summary.json call it."""

CRITERIA = {
    "last": Criterion("step", 1, "last step"),
    "entropy": Criterion("score/entropy", -1, "least target entropy"),
    "im": Criterion("score/im", 1, "most information (IM)"),
    "snd": Criterion("score/snd", 1, "densest neighbourhoods (SND)"),
    "accuracy/source": Criterion("accuracy/source", 1, "best source accuracy"),
    "a_distance": Criterion("score/a_distance", -1, "least A-distance"),
}
"""Criteria that see no target label. Which direction is better is fixed here and nowhere else."""


def evaluations(lines: Sequence[Mapping]) -> list[Mapping]:
    """Returns the lines of metrics.jsonl that are evaluations of a trained model (step > 0)."""
    return [line for line in lines if "accuracy/source" in line and line["step"] > 0]


def best(lines: Sequence[Mapping], select: str) -> int:
    """Returns the step that a criterion selects.

    Args:
      lines: of metrics.jsonl, of any kind.
      select: a name in `CRITERIA`.

    Returns:
      The step; of equals the latest.

    Raises:
      UserError: an unknown criterion, or no evaluation that has the score.
    """
    return _best(lines, CRITERIA[choose("criterion", select, CRITERIA)])


def oracle(lines: Sequence[Mapping], key: str = "accuracy/target") -> int:
    """Returns the step at which the target accuracy was best. It looks at target labels: never a result.

    Args:
      lines: of metrics.jsonl.
      key: "accuracy/target" or "accuracy/target_mean_class".

    Raises:
      UserError: no evaluation has a target accuracy.
    """
    return _best(lines, Criterion(key, 1, "oracle"))


def at_step(lines: Sequence[Mapping], step: int) -> Mapping:
    """Returns the evaluation of `step`, the newest if there are several."""
    return next(line for line in reversed(evaluations(lines)) if line["step"] == step)


def _best(lines: Sequence[Mapping], criterion: Criterion) -> int:
    found = [line for line in evaluations(lines) if _known(line.get(criterion.key))]
    if not found:
        raise UserError(
            f"No evaluation has {criterion.key!r}: expected lines with it in metrics.jsonl. Let the run reach its "
            "first evaluation (--evaluate_steps)."
        )
    return int(max(found, key=lambda line: (criterion.sign * line[criterion.key], line["step"]))["step"])


def _known(value) -> bool:
    return value is not None and math.isfinite(value)


def compare(lines: Sequence[Mapping], select: str, step: int, key: str = "accuracy/target") -> dict:
    """Describes the choice of a checkpoint, for summary.json.

    Args:
      lines: of metrics.jsonl.
      select: the criterion.
      step: that it selected.
      key: the accuracy that the benchmark reports.

    Returns:
      {"select", "last", "selected", "oracle"}: each of the last three with its step and accuracies, None where
      unknown. "oracle" says what the best choice by target labels would have given.
    """

    def tell(step: int) -> dict:
        line = at_step(lines, step)
        names = ("accuracy/source", "accuracy/target", "accuracy/target_mean_class")
        return {"step": step, **{name: line.get(name) for name in names}}

    try:
        best_by_labels = {**tell(oracle(lines, key)), "note": "chosen with target labels, never a result"}
    except UserError:
        best_by_labels = None
    return {"select": select, "last": tell(best(lines, "last")), "selected": tell(step), "oracle": best_by_labels}
