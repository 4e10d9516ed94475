"""Finds the source's classes that the target seems to lack, and in which shares it seems to have the others."""

from collections.abc import Sequence

import numpy as np

from gsda_tf.data.classes import listed

THIN = 0.25
"""Of its share in the source: a class that is predicted less often seems to be missing, or lost."""
_SURE = 0.9999


def class_shares(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns the share of each class among labels int [n], n > 0: float [r], adding up to 1."""
    return np.bincount(labels, minlength=num_classes) / len(labels)


def warnings(
    predictions: np.ndarray,
    probabilities: np.ndarray,
    runs: np.ndarray,
    source_shares: np.ndarray,
    class_names: Sequence[str],
) -> list[str]:
    """Returns what should be known before an answer is used, a sentence each; no target label is read.

    Args:
      predictions: int [n], the answers.
      probabilities: float [n, r], of the model that gave them.
      runs: int [m, n], the answers of all candidates.
      source_shares: float [r].
      class_names: r names.
    """
    said, shares = [], class_shares(predictions, len(class_names))
    empty = np.setdiff1d(np.arange(len(class_names)), runs)
    if len(empty):
        names = listed([class_names[c] for c in empty])
        said.append(f"Classes that seem to be missing in the target: no candidate finds an image of {names}.")
    thin = np.setdiff1d(np.flatnonzero(shares < THIN * source_shares), empty)
    if len(thin):
        names = listed([class_names[c] for c in thin])
        said.append(f"Classes that shrank to less than a quarter of their share in the source: {names}.")
    if np.min(np.max(probabilities, axis=1)) > _SURE:
        said.append("All scores are 1: they say nothing of which answers are right. Look at the agreement instead.")
    apart = np.mean((runs != runs[0]).any(axis=0))
    if apart > 0.5:
        said.append(
            f"The candidates disagree on {100 * apart:.0f} % of the images: look at some of them before you use the "
            "answers, or try another backbone."
        )
    return said
