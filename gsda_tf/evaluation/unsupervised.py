"""Scores of a model on an unlabelled target: which of several models is best, without a target label.

None of them sees a label of the target. All work on a fixed, evenly spread part of large sets, so that an
evaluation costs a fraction of a second whatever the size of the target.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from gsda_tf.data.subset import evenly

_MOST_NEIGHBOURS = 1000
"""Images among which neighbourhoods are compared: the cost grows with the square."""
_MOST_SEPARATED = 500
"""Images of each domain that the domain classifier of the A-distance sees."""


def scores(source_features: np.ndarray, target_features: np.ndarray, target_logits: np.ndarray) -> dict[str, float]:
    """Label-free scores by name; `selection.CRITERIA` says which direction is better.

    Args:
      source_features: float [ns, d].
      target_features: float [nt, d].
      target_logits: float [nt, r].

    Returns:
      "entropy", "im", "snd" and "a_distance"; NaN where there are too few images to tell.
    """
    log_p = log_softmax(target_logits)
    return {
        "entropy": entropy(log_p),
        "im": information_maximization(log_p),
        "snd": soft_neighbourhood_density(np.exp(log_p)),
        "a_distance": a_distance(source_features, target_features),
    }


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Float64, same shape; finite for any finite logits."""
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def entropy(log_p: np.ndarray) -> float:
    """Mean entropy of the predictions, nats; low where the model is sure. `log_p` is [n, r].

    Blind to a model that is sure of one class for all images.
    """
    return float(-(np.exp(log_p) * log_p).sum(axis=1).mean() + 0.0)


def information_maximization(log_p: np.ndarray) -> float:
    """Entropy of the mean prediction minus mean entropy of the predictions, nats (Shi and Sha, ICML 2012).

    High where the model is sure of each image and uses all classes. `log_p` is [n, r].
    """
    mean = np.exp(log_p).mean(axis=0)
    return float(-(mean[mean > 0] * np.log(mean[mean > 0])).sum()) - entropy(log_p)


def soft_neighbourhood_density(probabilities: np.ndarray, temperature: float = 0.05) -> float:
    """Entropy of the similarities between each prediction and all others, nats (Saito et al., ICCV 2021).

    High where predictions form dense clusters.

    Args:
      probabilities: [n, r]; of more than 1000 images an evenly spread 1000 are used.
      temperature: of the softmax over neighbours; 0.05 in the paper.
    """
    p = probabilities[evenly(len(probabilities), _MOST_NEIGHBOURS)]
    if len(p) < 2:
        return float("nan")
    unit = p / np.linalg.norm(p, axis=1, keepdims=True)
    similarity = unit @ unit.T / temperature
    others = similarity[~np.eye(len(p), dtype=bool)].reshape(len(p), -1)
    return entropy(log_softmax(others))


def a_distance(source_features: np.ndarray, target_features: np.ndarray) -> float:
    """Proxy A-distance 2 (1 - 2 e), e the error of a linear classifier of domains (Ben-David et al., NIPS 2007).

    0: the domains cannot be told apart, 2: always. The classifier is fitted on half of an equal number of images
    of each domain (at most 500) and its error is measured on the other half; an error above chance counts as
    chance.

    Args:
      source_features: [ns, d].
      target_features: [nt, d].
    """
    size = min(len(source_features), len(target_features), _MOST_SEPARATED)
    if size < 4:
        return float("nan")
    parts = [f[evenly(len(f), size)].astype(np.float64) for f in (source_features, target_features)]
    order = np.random.default_rng(0).permutation(size)
    train, test = order[: size // 2], order[size // 2 :]
    x = np.concatenate([part[train] for part in parts])
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale == 0] = 1
    # Strong regularization: with more features than images, any two halves are separable.
    classifier = LogisticRegression(C=0.01, max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit((x - mean) / scale, np.repeat([0, 1], len(train)))
    held_out = (np.concatenate([part[test] for part in parts]) - mean) / scale
    error = 1 - classifier.score(held_out, np.repeat([0, 1], len(test)))
    return float(2 * (1 - 2 * min(error, 0.5)))
