"""Accuracies, 0..1."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

OPEN = ("accuracy/target_known", "accuracy/target_unknown", "accuracy/target_hos")


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of right predictions. Both int [n]."""
    return float(np.mean(predictions == labels))


def interval(right: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Computes Wilson's interval of a share.

    Args:
      right: the share that was found, 0..1.
      count: images that it was found on, at least 1.
      z: quantile of the normal distribution; 1.96: 95 %.
    """
    centre = (right + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(right * (1 - right) / count + z**2 / (4 * count**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def difference(right: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Computes how much more of the same images one model gets right than another, with its 95 % interval.

    Args:
      right: bool [n], images that the one gets right.
      other: bool [n], those of the other.

    Returns:
      (difference, low, high), -1..1; the interval by Agresti and Min's method, which holds for few images, too.
    """
    won, lost, count = np.sum(right & ~other) + 0.5, np.sum(~right & other) + 0.5, len(right) + 2
    centre = (won - lost) / count
    half = 1.96 * math.sqrt((won + lost) / count - centre**2) / math.sqrt(count)
    return float(np.mean(right) - np.mean(other)), max(centre - half, -1.0), min(centre + half, 1.0)


def told(scores: Mapping[str, Any], name: str) -> str:
    """Returns an accuracy as it is shown: with its interval and no false decimals where a sample scored it.

    Args:
      scores: accuracies 0..1, or None, and "target_sample", the number of images behind those of the target; None or
        missing where these are all there are; "source_scored", of a summary: which images are behind the source's.
      name: of the accuracy.
    """
    value, sample = scores.get(name), scores.get("target_sample")
    if value is None:
        return "no labels"
    if name == "accuracy/source":
        return f"{100 * value:.2f} % ({scores.get('source_scored', 'training')} images)"
    if not sample or not name.startswith("accuracy/target"):
        return f"{100 * value:.2f} %"
    if name != "accuracy/target":
        return f"{100 * value:.0f} %"
    low, high = interval(value, sample)
    return f"{100 * value:.0f} % ({100 * low:.0f} to {100 * high:.0f}, by {sample:,} labelled images)"


def per_class_accuracy(predictions: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns the accuracy of each class, float [r]; NaN for a class that no label names."""
    counts = confusion_matrix(predictions, labels, num_classes)
    totals = counts.sum(axis=1)
    return np.where(totals > 0, counts.diagonal() / np.maximum(totals, 1), np.nan)


def mean_class_accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean of the accuracy over the classes that occur, as VisDA-2017 is scored."""
    classes = int(max(labels.max(), predictions.max())) + 1
    return float(np.nanmean(per_class_accuracy(predictions, labels, classes)))


def open_scores(per_class: np.ndarray) -> dict[str, float]:
    """Returns how a target of known and unknown classes is scored (Bucci, Loghmani and Tommasi, ECCV 2020).

    Args:
      per_class: float [r + 1], `per_class_accuracy`; the last is of what is unknown.

    Returns:
      accuracy/target_known, the mean over known classes (OS*); accuracy/target_unknown, the share of what is unknown
      that is called so; accuracy/target_hos, their harmonic mean; {} where either was not labelled.
    """
    known, unknown = per_class[:-1], float(per_class[-1])
    if not np.isfinite(known).any() or not np.isfinite(unknown):
        return {}
    mean = float(np.nanmean(known))
    values = mean, unknown, 2 * mean * unknown / max(mean + unknown, 1e-12)
    return dict(zip(OPEN, values))


def confusion_matrix(predictions: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts how often each class was taken for which.

    Args:
      predictions: int [n], 0..r-1.
      labels: int [n], 0..r-1.
      num_classes: r.

    Returns:
      int64 [r, r]: row is the true class, column the predicted one.
    """
    shape = num_classes, num_classes
    places = np.ravel_multi_index((labels, predictions), shape)
    return np.bincount(places, minlength=num_classes**2).reshape(shape)


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
