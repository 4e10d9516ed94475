"""Accuracies, 0..1."""

from __future__ import annotations

import numpy as np


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of right predictions. Both int [n]."""
    return float(np.mean(predictions == labels))


def per_class_accuracy(predictions: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns the accuracy of each class, float [r]; NaN for a class that no label names."""
    values = np.full(num_classes, np.nan)
    for k in np.unique(labels):
        values[k] = np.mean(predictions[labels == k] == k)
    return values


def mean_class_accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean of the accuracy over the classes that occur, as VisDA-2017 is scored."""
    return float(np.nanmean(per_class_accuracy(predictions, labels, int(labels.max()) + 1)))


def confusion_matrix(predictions: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts how often each class was taken for which.

    Args:
      predictions: int [n], 0..r-1.
      labels: int [n], 0..r-1.
      num_classes: r.

    Returns:
      int64 [r, r]: row is the true class, column the predicted one.
    """
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, predictions), 1)
    return counts


def confident_mistakes(probabilities: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """Finds the wrong predictions of which the model is surest.

    Args:
      probabilities: float [n, r].
      labels: int [n]; an image without label (-1) is no mistake.
      most: how many at most.

    Returns:
      int64 [m], m <= most, indices of images, the surest first.
    """
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero((predictions != labels) & (labels >= 0))
    return wrong[np.argsort(-confidence[wrong], kind="stable")][:most]
