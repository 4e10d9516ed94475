"""How far apart domains are in a model's features, without a label of the target.

Of large sets a fixed, evenly spread part is looked at, so that an evaluation costs a fraction of a second whatever the
size of the target. A distance is least for features that hold nothing: it picks no model.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

from gsda_tf.data.domain import evenly

_MOST_SEPARATED = 500
"""Images of each domain that the domain classifier of the A-distance sees."""
_STRENGTH = 0.01
"""Of the data beside the penalty on that classifier: with more features than images, any two halves are separable."""


def a_distance(source_features: np.ndarray, target_features: np.ndarray, splits: int = 20) -> tuple[float, float]:
    """Computes the proxy A-distance 2 (1 - 2 e), e the error of a linear classifier of domains.

    Ben-David et al., NIPS 2007. 0: the domains cannot be told apart, 2: always. The classifier is fitted on half of an
    equal number of images of each domain (at most 500) and its error is measured on the other half. One division into
    halves may be off by half a unit, so the error is the mean over many; above chance it counts as chance.

    Args:
      source_features: [ns, d].
      target_features: [nt, d].
      splits: random divisions into halves, the same at each call.

    Returns:
      The distance, and the standard deviation of the distances of single divisions; both NaN with fewer than four
      images of a domain.
    """
    size = min(len(source_features), len(target_features), _MOST_SEPARATED)
    if size < 4:
        return math.nan, math.nan
    both = [features[evenly(len(features), size)] for features in (source_features, target_features)]
    rng = np.random.default_rng(0)
    found = distances(*both, [np.tile(rng.permutation(size), (2, 1)) for _ in range(splits)])
    return max(float(found.mean()), 0.0), float(found.std())


def distances(features: np.ndarray, others: np.ndarray, divisions: Sequence[np.ndarray]) -> np.ndarray:
    """Computes 2 (1 - 2 e) of each division, float64 [k].

    Args:
      features: [n, d].
      others: [m, d].
      divisions: k of int [2, p], as many images of either, in a random order: a classifier is fitted on their first
        half, and e is its error on the second.
    """
    rows = np.concatenate([features, others]).astype(np.float64)
    rows -= rows.mean(axis=0)
    fitted, held_out = np.zeros((2, len(divisions), len(rows)))
    for number, (mine, theirs) in enumerate(divisions):
        both, half = np.stack([mine, theirs + len(features)]), len(mine) // 2
        fitted[number, both[:, :half]] = held_out[number, both[:, half:]] = 1
    side = np.where(np.arange(len(rows)) < len(features), -1.0, 1.0)
    # One thread: for matrices as small as these, threads that wait for each other cost ten times what they save.
    with threadpool_limits(1):
        right = side * _separations(rows, side, fitted) > 0
    return 2 * (1 - 2 * (held_out * ~right).sum(axis=1) / held_out.sum(axis=1))


def _separations(rows: np.ndarray, side: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Returns the logits, [k, n], of k logistic regressions, each on the rows that it is fitted to, standardized.

    All at once: a pass over the rows costs the same for twenty of them as for a few.

    Args:
      rows: [n, d], of mean 0.
      side: -1 or 1, [n], what is told apart.
      fitted: 0 or 1, [k, n].
    """
    shares = fitted / fitted.sum(axis=1, keepdims=True)
    mean, squares = shares @ rows, rows**2
    variance = shares @ squares - mean**2
    scale = np.sqrt(np.where(variance > 1e-12 * squares.mean(axis=0), variance, np.inf))  # a constant tells nothing

    def logits(flat: np.ndarray) -> np.ndarray:
        slopes = flat[: mean.size].reshape(mean.shape) / scale
        return slopes @ rows.T + (flat[mean.size :] - (slopes * mean).sum(axis=1))[:, None]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights, agreement = flat[: mean.size], side * logits(flat)
        pull = -_STRENGTH * fitted * side * expit(-agreement)
        slopes = (pull @ rows - pull.sum(axis=1, keepdims=True) * mean) / scale
        loss = _STRENGTH * (fitted * np.logaddexp(0, -agreement)).sum() + weights @ weights / 2
        return loss, np.concatenate([slopes.ravel() + weights, pull.sum(axis=1)])

    start = np.zeros(mean.size + len(mean))
    return logits(minimize(objective, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-4, "maxiter": 200}).x)
