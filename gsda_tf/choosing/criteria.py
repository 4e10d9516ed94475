"""Scores that compare candidates without labels of the target, and what each of them cannot see.

Entropy, information maximization and soft neighbourhood density are none of it: a method that minimises one of them
looks best in it whether it is right or wrong.
"""

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
    """Computes the scores of each candidate, means over its seeds; higher is better:

    "clusters": how well its labels follow the clusters; blind to permuted classes, kind to methods that cluster.
    "crowd": how often it says what the mean of all candidates does (EnsV), each of which has one voice however many
      seeds it has; all may be wrong together.
    "seeds": how often its seeds say the same, NaN of one; a method that is always wrong in the same way does.
    "score", by which candidates are ordered: the product of the first two.

    Args:
      candidates: all of them.
      groups: int [n], `clustering.clusters` of features that no candidate has changed.
    """
    answers = np.mean([candidate.mean for candidate in candidates], axis=0).argmax(axis=1)
    found = {}
    for candidate in candidates:
        said = candidate.predictions
        clusters = float(np.mean([cluster_information(row, groups) for row in said]))
        crowd = float((said == answers).mean(axis=1).mean())
        seeds = float(agreement_between_seeds(said, np.zeros(len(said))).mean())
        found[candidate.name] = {"score": clusters * crowd, "clusters": clusters, "crowd": crowd, "seeds": seeds}
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


def agreement_with_others(predictions: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Mean agreement of each run with those of other candidates; NaN where there is no other candidate.

    Args:
      predictions: int [m, n].
      candidates: [m], which runs are seeds of the same candidate.

    Returns:
      float [m].
    """
    return _mean(predictions, np.not_equal.outer(candidates, candidates))


def agreement_between_seeds(predictions: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Mean agreement of each run with the same candidate's other seeds; NaN where there is one seed.

    Shapes as in `agreement_with_others`.
    """
    return _mean(predictions, np.equal.outer(candidates, candidates) & ~np.eye(len(candidates), dtype=bool))


def _mean(predictions: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Of each run how often it says the same as those that are chosen, bool [m, m]."""
    agreed = np.stack([(predictions == row).mean(axis=1) for row in predictions])
    counts = chosen.sum(axis=1)
    return np.where(counts > 0, np.where(chosen, agreed, 0).sum(axis=1) / np.maximum(counts, 1), np.nan)
