"""What a committee of candidates says of each image, and how far it agrees."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Votes:
    """A committee's answers.

    Attributes:
      predictions: int64 [n], the class with the most votes.
      share: float [n], 0..1, of the votes for it.
      unanimous: bool [n].
    """

    predictions: np.ndarray
    share: np.ndarray
    unanimous: np.ndarray


def vote(probabilities: np.ndarray, weights: np.ndarray | None = None) -> Votes:
    """Each member has a vote; of equal classes the one with the larger mean probability wins.

    Args:
      probabilities: [m, n, r], of m members.
      weights: float [m], of the votes, not negative, not all 0; None: equal.

    Returns:
      Votes over n images.
    """
    probabilities = np.asarray(probabilities, np.float64)
    weights = np.full(len(probabilities), 1.0) if weights is None else np.asarray(weights, np.float64)
    weights = weights / weights.sum()
    answers = probabilities.argmax(axis=2)
    counted = np.zeros(probabilities.shape[1:])
    rows = np.arange(counted.shape[0])
    for answer, weight in zip(answers, weights):
        counted[rows, answer] += weight
    mean = np.einsum("m,mnr->nr", weights, probabilities)
    # Sums of the same weights in another order differ in the last digits: those are ties.
    predictions = np.where(counted >= counted.max(axis=1, keepdims=True) - 1e-9, mean, -1).argmax(axis=1)
    voted = answers[weights > 0]
    return Votes(predictions, counted[rows, predictions], (voted == voted[0]).all(axis=0))


def agreement(probabilities: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """How far a committee agrees with an answer, image by image: the mean probability that its members give it.

    Softer than a count of votes, it tells apart the many images on which all members agree.

    Args:
      probabilities: [m, n, r], of the members.
      answers: int [n], of the model that is taken.

    Returns:
      float [n], 0..1.
    """
    return np.asarray(probabilities, np.float64)[:, np.arange(len(answers)), answers].mean(axis=0)


def unanimous(predictions: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Whether all members give the answer; bool [n] of int [m, n] and int [n]."""
    return (np.asarray(predictions) == answers).all(axis=0)


def threshold_table(share: np.ndarray, levels: np.ndarray | None = None) -> list[tuple[float, float]]:
    """How many images are answered without a person, by the agreement that is asked for.

    Args:
      share: float [n], `agreement`.
      levels: thresholds; None: the values that occur.

    Returns:
      (threshold, share of the images that reach it), the strictest first.
    """
    levels = np.unique(share) if levels is None else np.asarray(levels)
    return [(float(level), float(np.mean(share >= level - 1e-9))) for level in sorted(levels, reverse=True)]
