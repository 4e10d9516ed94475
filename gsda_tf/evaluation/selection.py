"""Which lines of a log are evaluations, and what is told of them: accuracies that are reported, scores without labels.

No score picks a checkpoint: each has a blind spot. Entropy is least for a model that calls everything one class. SND is
highest where all predictions are alike, so also before training has begun to tell classes apart. The A-distance is
least for features that carry nothing. Information maximization falls for neither extreme, but rewards a model that is
sure of wrong classes, as long as it uses them all.
"""

from collections.abc import Mapping, Sequence

SCORES = dict(accuracy="accuracy/target", mean_class_accuracy="accuracy/target_mean_class", hos="accuracy/target_hos")
"""Accuracies that a benchmark may report, as the log and summary.json call it; the last where classes are unknown."""

WITHOUT_LABELS = {
    "score/entropy": "least target entropy",
    "score/im": "most information (IM)",
    "score/snd": "densest neighbourhoods (SND)",
    "score/a_distance": "least A-distance",
}
"""Scores of the log that see no target label, with their titles in the report."""


def evaluations(lines: Sequence[Mapping]) -> list[Mapping]:
    """Returns the lines of metrics.jsonl that are evaluations of a trained model (step > 0)."""
    # A run that is adapted without its source has no source accuracy.
    return [line for line in lines if line["step"] > 0 and ("accuracy/source" in line or "score/im" in line)]
