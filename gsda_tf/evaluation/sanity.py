"""Finds results that contradict one another, so that something before them must be wrong."""

from __future__ import annotations

import math

import numpy as np

_LOST = 0.5
_CLEAR = 0.2


def doubts(source_accuracy: float | None, source_loss: float | None, labels: np.ndarray) -> list[str]:
    """Returns what a user should know before believing a result.

    Args:
      source_accuracy: of the evaluation, 0..1; None without a source.
      source_loss: mean cross-entropy of the last training steps, nats; None if there is none.
      labels: int [n], of the source.

    Returns:
      Messages, one a doubt.
    """
    if source_accuracy is None or source_loss is None or not math.isfinite(source_loss):
        return []
    chance = np.bincount(labels).max() / len(labels)  # what the blindest guess gets right
    # What the loss says of the images that were trained on: the geometric mean of the right class's probability.
    trained = math.exp(-source_loss)
    if trained - chance < _CLEAR or source_accuracy - chance >= _LOST * (trained - chance):
        return []
    return [
        f"The source's own images are classified at {100 * source_accuracy:.2f} %, where a blind guess gets "
        f"{100 * chance:.2f} %, though the loss in training is small ({source_loss:.2f}): evaluation sees other images "
        "than training did. Look at --image_size, --resize_size, --augmentation and batch norm before using this model."
    ]
