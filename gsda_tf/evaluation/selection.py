"""Which lines of a log are evaluations, and which accuracies are reported of them."""

from collections.abc import Mapping, Sequence

SCORES = dict(accuracy="accuracy/target", mean_class_accuracy="accuracy/target_mean_class", hos="accuracy/target_hos")
"""Accuracies that a benchmark may report, as the log and summary.json call it; the last where classes are unknown."""


def evaluations(lines: Sequence[Mapping]) -> list[Mapping]:
    """Returns the lines of metrics.jsonl that are evaluations of a trained model (step > 0)."""
    # A run that is adapted without its source has no source accuracy.
    return [line for line in lines if line["step"] > 0 and line.keys() & {"accuracy/source", "accuracy/target"}]
