"""Confident pseudo-labels on the target: which images training draws, section 3.1 of the paper."""

import numpy as np

from gsda_tf.data.domain import UNLABELLED


def confident_pool(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """The predicted class of every target image whose largest probability reaches the threshold.

    Args:
      probabilities: float [nt, r].
      threshold: 0..1; 0 keeps every image.

    Returns:
      int32 [nt]; -1 where the model is not confident.
    """
    pool = probabilities.argmax(axis=1).astype(np.int32)
    pool[probabilities.max(axis=1) < threshold] = UNLABELLED
    return pool
