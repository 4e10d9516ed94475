"""Computes how far candidates and the untouched features agree with an answer, and from that its probable accuracy.

Answers of the untouched features share no training with the candidates, so they are wrong in other places, and an
answer that they confirm is the more likely right. Nothing here looks at the own confidence of the model that answers
alone, which says 98 % of what is 73 % right.
"""

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors

_NEIGHBOURS = 5
_ERROR = 0.08
"""Half the width of the interval where images are many: nine tenths of the errors where the rule was made."""
_NORMAL = 1.645


class Estimate(NamedTuple):
    """An estimated accuracy, 0..1, and the ends of its 90 % interval."""

    value: float
    low: float
    high: float


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


def estimate(agreement: np.ndarray) -> Estimate:
    """The accuracy of an answer: the mean agreement of all candidates with it, float [n].

    The interval is of the error that this estimate had where it was made, and of the draw of n images.
    """
    value = float(np.mean(agreement))
    spread = np.hypot(_ERROR, _NORMAL * np.sqrt(max(value * (1 - value), 1e-4) / len(agreement)))
    return Estimate(value, float(max(value - spread, 0)), float(min(value + spread, 1)))


def nearest_means(source: np.ndarray, labels: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The class whose mean direction is nearest by cosine, int64 [nt]; both domains are `clustering.comparable`."""
    classes = np.unique(labels)
    means = np.stack([source[labels == c].mean(axis=0) for c in classes])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return classes[(target @ means.T).argmax(axis=1)].astype(np.int64)


def majorities(predictions: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Of each image the class that most candidates give the images of its cluster, int64 [n].

    Args:
      predictions: int [m, n].
      groups: int [n].
    """
    answers = np.zeros(len(groups), np.int64)
    for group in np.unique(groups):
        here = groups == group
        answers[here] = np.bincount(np.asarray(predictions)[:, here].ravel()).argmax()
    return answers


def neighbours_support(values: np.ndarray, probabilities: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Returns how probable the nearest images make each answer: the mean probability of it over the five nearest,
    float [n].

    The best sign that is known here of which answers are right.

    Args:
      values: float [n, d], features that no candidate has changed, `clustering.reduced`.
      probabilities: float [n, r], the mean of all candidates.
      answers: int [n].
    """
    count = min(_NEIGHBOURS, len(values) - 1)
    if count < 1:
        return probabilities[np.arange(len(answers)), answers]
    nearest = NearestNeighbors(n_neighbors=count).fit(values).kneighbors(return_distance=False)  # without itself
    return probabilities[nearest, answers[:, None]].mean(axis=1)
