"""Do a candidate's labels follow the clusters of features that no candidate has changed? Blind to permuted classes, and
kind to methods that cluster."""

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score

from gsda_tf.choosing.criteria.base import Criterion


def cluster_information(predictions: np.ndarray, groups: np.ndarray) -> float:
    """Adjusted mutual information of predicted classes and clusters (Vinh et al., JMLR 2010).

    1 for the same partition, about 0 for one at random. Classes that are permuted among themselves score the same.

    Args:
      predictions: int [n].
      groups: int [n].
    """
    if len(np.unique(predictions)) < 2:
        return 0.0  # scikit-learn calls two partitions into one part equal
    return float(adjusted_mutual_info_score(groups, predictions))


CRITERION = Criterion(
    "clusters",
    lambda mine, pool: np.mean([cluster_information(row, pool.groups) for row in mine.predictions]),
    counts=True,
)
