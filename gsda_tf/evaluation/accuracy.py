"""Accuracies, 0..1."""

from __future__ import annotations

import numpy as np


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Share of right predictions. Both int [n]."""
    return float(np.mean(predictions == labels))


def per_class_accuracy(predictions: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Float [r]; NaN for a class that no label names."""
    values = np.full(num_classes, np.nan)
    for k in np.unique(labels):
        values[k] = np.mean(predictions[labels == k] == k)
    return values


def mean_class_accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Mean of the accuracy over the classes that occur, as VisDA-2017 is scored."""
    return float(np.nanmean(per_class_accuracy(predictions, labels, int(labels.max()) + 1)))
