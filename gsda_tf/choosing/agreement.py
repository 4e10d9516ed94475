"""Answers of a committee of candidates for each image, and how far it agrees."""

from __future__ import annotations

import numpy as np


def agreement(probabilities: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Returns how far a committee agrees with an answer, image by image: the mean probability that its members give it.

    Softer than a count of votes, it tells apart the many images on which all members agree.

    Args:
      probabilities: [m, n, r], of the members.
      answers: int [n], of the model that is taken.

    Returns:
      float [n], 0..1.
    """
    return np.asarray(probabilities, np.float64)[:, np.arange(len(answers)), answers].mean(axis=0)


def unanimous(predictions: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Returns whether all members give the answer; bool [n] of int [m, n] and int [n]."""
    return (np.asarray(predictions) == answers).all(axis=0)


def threshold_table(share: np.ndarray, levels: np.ndarray | None = None) -> list[tuple[float, float]]:
    """Returns how many images are answered without a person, by the agreement that is asked for.

    Args:
      share: float [n], `agreement`.
      levels: thresholds; None: the values that occur.

    Returns:
      (threshold, share of the images that reach it), the strictest first.
    """
    levels = np.unique(share) if levels is None else np.asarray(levels)
    return [(float(level), float(np.mean(share >= level - 1e-9))) for level in sorted(levels, reverse=True)]
