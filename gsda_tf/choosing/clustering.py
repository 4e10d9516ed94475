"""Clusters of the target in features that no candidate has changed."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from gsda_tf.data.domain import evenly

_DIMENSIONS = 128
_MOST_CLUSTERED = 5000
"""Images that are clustered: k-means of more says the same."""


def comparable(features: np.ndarray) -> np.ndarray:
    """Features as cosine similarity compares them best: square root where none is negative, centred, rows of length 1.

    Args:
      features: float [n, d], of one domain.

    Returns:
      float64 [n, d]; a row that is the mean stays 0.
    """
    values = np.asarray(features, np.float64)
    if values.min(initial=0) >= 0:
        values = np.sqrt(values)
    values = values - values.mean(axis=0)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def reduced(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Returns `comparable` features in at most 128 principal components, float64 [n, <=128]."""
    values = comparable(features)
    most = min(_DIMENSIONS, *values.shape)
    if most == values.shape[1]:
        return values
    return PCA(most, svd_solver="randomized", random_state=seed).fit_transform(values)


def clusters(values: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Returns the cluster of each image by k-means, int [n].

    Args:
      values: float [n, d], `reduced` features of the target, of a network that saw no candidate: the frozen backbone's.
      count: k; fewer where there are fewer images.
      seed: of the first centres.
    """
    fitted = KMeans(min(count, len(values)), n_init=4, random_state=seed)
    if len(values) <= _MOST_CLUSTERED:
        return fitted.fit_predict(values)
    fitted.fit(values[evenly(len(values), _MOST_CLUSTERED)])
    return fitted.predict(values)
