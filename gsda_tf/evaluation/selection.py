"""Criteria for the evaluation to trust, without target labels; and, for comparison only, the oracle that uses them.

Every criterion has a blind spot. Entropy is least for a model that calls everything one class. SND is highest
where all predictions are alike, so also before training has begun to tell classes apart. The A-distance is least
for features that carry nothing. Information maximization falls for neither extreme, but rewards a model that is
sure of wrong classes, as long as it uses them all; source accuracy says nothing about the target.
"""

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


SCORES = dict(accuracy="accuracy/target", mean_class_accuracy="accuracy/target_mean_class", hos="accuracy/target_hos")
"""Accuracies that a benchmark may report, as the log and summary.json call it; the last where classes are unknown."""

CRITERIA = {
    "last": Criterion("step", 1, "last step"),
    "entropy": Criterion("score/entropy", -1, "least target entropy"),
    "im": Criterion("score/im", 1, "most information (IM)"),
    "snd": Criterion("score/snd", 1, "densest neighbourhoods (SND)"),
    "a_distance": Criterion("score/a_distance", -1, "least A-distance"),
}
"""Criteria that see no target label. Which direction is better is fixed here and nowhere else."""

ORACLE = "oracle"
"""Picks by target labels: what the best possible choice would have given, never a result."""


def evaluations(lines: Sequence[Mapping]) -> list[Mapping]:
    """Returns the lines of metrics.jsonl that are evaluations of a trained model (step > 0)."""
    # A run that is adapted without its source has no source accuracy.
    return [line for line in lines if line["step"] > 0 and ("accuracy/source" in line or "score/im" in line)]


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
    criterion = CRITERIA[choose("criterion", select, CRITERIA)]
    values = ((line, line.get(criterion.key)) for line in evaluations(lines))
    found = [line for line, value in values if value is not None and math.isfinite(value)]
    if not found:
        raise UserError(
            f"No evaluation has {criterion.key!r}: expected lines with it in metrics.jsonl. Let the run reach its "
            "first evaluation (--evaluate_steps)."
        )
    return int(max(found, key=lambda line: (criterion.sign * line[criterion.key], line["step"]))["step"])


def at_step(lines: Sequence[Mapping], step: int) -> Mapping:
    """Returns the evaluation of `step`, the newest if there are several."""
    return next(line for line in reversed(evaluations(lines)) if line["step"] == step)


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
    names = dict.fromkeys(("step", "accuracy/source", "accuracy/target", "accuracy/target_mean_class", key))
    scored = [line for line in evaluations(lines) if line.get(key) is not None]
    oracle = max(scored, key=lambda line: (line[key], line["step"]), default=None)
    told = {"last": evaluations(lines)[-1], "selected": at_step(lines, step), ORACLE: oracle}
    told = {name: line and {each: line.get(each) for each in names} for name, line in told.items()}
    if told[ORACLE]:
        told[ORACLE]["note"] = "chosen with target labels, never a result"
    return {"select": select, **told}
