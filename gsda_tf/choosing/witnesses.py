"""Answers of the untouched features, in closed form: they share no training with the candidates, so they are wrong in
other places, and an answer that they confirm is the more likely right.
"""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from gsda_tf.choosing.criteria import comparable

_NEIGHBOURS = 5


def witnesses(
    source: np.ndarray, labels: np.ndarray, target: np.ndarray, groups: np.ndarray, predictions: np.ndarray
) -> np.ndarray:
    """Returns what two witnesses say: the nearest class mean of the source, and the majority in each cluster of the
    target.

    Args:
      source: float [ns, d], features that no candidate has changed.
      labels: int [ns].
      target: float [nt, d].
      groups: int [nt], clusters of the target.
      predictions: int [m, nt], of the candidates, which name the clusters.

    Returns:
      int64 [2, nt].
    """
    nearest = nearest_means(comparable(source), labels, comparable(target))
    return np.stack([nearest, majorities(predictions, groups)])


def nearest_means(source: np.ndarray, labels: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The class whose mean direction is nearest by cosine, int64 [nt]; both domains are `comparable`."""
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
      values: float [n, d], features that no candidate has changed, `criteria.reduced`.
      probabilities: float [n, r], the mean of all candidates.
      answers: int [n].
    """
    count = min(_NEIGHBOURS, len(values) - 1)
    if count < 1:
        return probabilities[np.arange(len(answers)), answers]
    nearest = NearestNeighbors(n_neighbors=count).fit(values).kneighbors(return_distance=False)  # without itself
    return probabilities[nearest, answers[:, None]].mean(axis=1)
