"""How far apart domains are in a model's features, without a label of the target.

Of large sets a fixed, evenly spread part is looked at, so that an evaluation costs a fraction of a second whatever the
size of the target. A distance is least for features that hold nothing: it picks no model.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from gsda_tf.data.domain import evenly

_MOST_SEPARATED = 500
"""Images of each domain that the domain classifier of the A-distance sees."""


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
    """Computes 2 (1 - 2 e) of each division, float [k].

    Args:
      features: [n, d].
      others: [m, d].
      divisions: k of int [2, p], as many images of either, in a random order: a classifier is fitted on their first
        half, and e is its error on the second.
    """
    # One thread: for matrices as small as these, threads that wait for each other cost ten times what they save.
    with threadpool_limits(1):
        drawn = (np.stack([features[mine], others[theirs]]).astype(np.float64) for mine, theirs in divisions)
        errors = [_separation_error(*np.split(x, [x.shape[1] // 2], axis=1)) for x in drawn]
    return 2 * (1 - 2 * np.asarray(errors))


def _separation_error(fitted: np.ndarray, held_out: np.ndarray) -> float:
    """Returns the error on `held_out` [2, m, d] of a classifier of domains that was fitted to `fitted` [2, n, d]."""
    x, y = np.concatenate(fitted), np.repeat([0, 1], fitted.shape[1])
    # Strong regularization: with more features than images, any two halves are separable.
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=100))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(x, y)
    return 1 - classifier.score(np.concatenate(held_out), np.repeat([0, 1], held_out.shape[1]))
