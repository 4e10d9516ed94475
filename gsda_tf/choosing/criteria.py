"""Scores that compare candidates without labels of the target, and what each of them cannot see.

Entropy, information maximization and soft neighbourhood density are none of it: a method that minimises one of them
looks best in it whether it is right or wrong.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score

CRITERIA = {"clusters": "clusters", "crowd": "with all", "seeds": "between seeds"}
"""Titles of what `scores` computes."""


class Candidate(NamedTuple):
    """Answers of one way of training.

    Attributes:
      name: of the method, "gsda+mcc".
      probabilities: float [s, n, r], of s seeds.
    """

    name: str
    probabilities: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """int64 [s, n]."""
        return np.asarray(self.probabilities).argmax(axis=2)

    @property
    def mean(self) -> np.ndarray:
        """Mean softmax of the seeds, float [n, r]: what the candidate answers."""
        return np.asarray(self.probabilities, np.float64).mean(axis=0)


def scores(candidates: Sequence[Candidate], groups: np.ndarray) -> dict[str, dict[str, float]]:
    """Computes of each candidate, higher is better, what `agreements` does, and:

    "clusters": how well its labels follow the clusters, mean over its seeds; blind to permuted classes, kind to methods
      that cluster.
    "score", by which candidates are ordered: the product of "clusters" and "crowd".

    Args:
      candidates: all of them.
      groups: int [n], `clustering.clusters` of features that no candidate has changed.
    """
    found = agreements(candidates)
    for candidate in candidates:
        clusters = float(np.mean([cluster_information(row, groups) for row in candidate.predictions]))
        found[candidate.name].update(clusters=clusters, score=clusters * found[candidate.name]["crowd"])
    return found


def agreements(candidates: Sequence[Candidate]) -> dict[str, dict[str, float]]:
    """Computes of each candidate, means over its seeds:

    "crowd": how often it says what the mean of all candidates does (EnsV), each of which has one voice however many
      seeds it has; all may be wrong together.
    "seeds": how often two of its seeds say the same, NaN of one; a method that is always wrong in the same way does.
    """
    answers = np.mean([candidate.mean for candidate in candidates], axis=0).argmax(axis=1)
    found = {}
    for candidate in candidates:
        said = candidate.predictions
        pairs = [np.mean(one == other) for one, other in itertools.combinations(said, 2)]
        crowd = float((said == answers).mean(axis=1).mean())
        found[candidate.name] = {"crowd": crowd, "seeds": float(np.mean(pairs)) if pairs else math.nan}
    return found


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
