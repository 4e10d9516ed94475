"""Do the seeds of a candidate say the same? A method that is always wrong in the same way does."""

import numpy as np

from gsda_tf.choosing.criteria.base import Criterion


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


CRITERION = Criterion(
    "between seeds",
    lambda mine, _: agreement_between_seeds(mine.predictions, np.zeros(len(mine.predictions))).mean(),
)
