"""Criteria that compare candidates on an unlabelled target, each with what it cannot see.

Scores of one model that compare its own steps, entropy, IM and SND, stand in `evaluation.unsupervised`: they do not
compare methods, for a method that minimises one of them looks best in it whether it is right or wrong.
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_mutual_info_score

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


def cluster_information(predictions: np.ndarray, groups: np.ndarray) -> float:
    """Adjusted mutual information of predicted classes and clusters (Vinh et al., JMLR 2010).

    1 for the same partition, about 0 for one at random. Classes that are permuted among themselves score the same.

    Args:
      predictions: int [n].
      groups: int [n], `clusters`.
    """
    if len(np.unique(predictions)) < 2:
        return 0.0  # scikit-learn calls two partitions into one part equal
    return float(adjusted_mutual_info_score(groups, predictions))


def pairwise_agreement(predictions: np.ndarray) -> np.ndarray:
    """Returns how often two candidates say the same.

    Args:
      predictions: int [m, n].

    Returns:
      float [m, m], 0..1; 1 on the diagonal.
    """
    predictions = np.asarray(predictions)
    return np.stack([(predictions == row).mean(axis=1) for row in predictions])


def agreement_with_others(predictions: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Mean agreement of each run with those of other candidates; NaN where there is no other candidate.

    Args:
      predictions: int [m, n].
      candidates: [m], which runs are seeds of the same candidate.

    Returns:
      float [m].
    """
    return _mean(pairwise_agreement(predictions), np.not_equal.outer(candidates, candidates))


def agreement_between_seeds(predictions: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Mean agreement of each run with the same candidate's other seeds; NaN where there is one seed.

    Shapes as in `agreement_with_others`.
    """
    same = np.equal.outer(candidates, candidates) & ~np.eye(len(candidates), dtype=bool)
    return _mean(pairwise_agreement(predictions), same)


def _mean(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Of each row where it is chosen."""
    counts = chosen.sum(axis=1)
    return np.where(counts > 0, np.where(chosen, values, 0).sum(axis=1) / np.maximum(counts, 1), np.nan)
