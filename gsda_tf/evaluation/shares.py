"""Class shares of a target without labels, and what they change in its answers."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence

import numpy as np

from gsda_tf.errors import DataError, explained, shown
from gsda_tf.files import read_regular

UNIFORM, SOURCE, ESTIMATE = "uniform", "source", "estimate"
_ROUNDS, _LEAST, _MOST_BYTES = 200, 0.01, 2**20


def estimate(probabilities: np.ndarray) -> np.ndarray:
    """Estimates shares by expectation maximization (Saerens, Latinne and Decaestecker, 2002).

    q_k <- mean_i p_ik q_k / sum_j p_ij q_j, from equal shares on: those of the batches that the classifier learnt from.

    Args:
      probabilities: float [n, r], of the target.

    Returns:
      float64 [r], adding up to 1. What a classifier that is too sure says counts as it stands.
    """
    p = np.asarray(probabilities, np.float64)
    shares = np.full(p.shape[1], 1.0 / p.shape[1])
    for _ in range(_ROUNDS):  # by products alone: whole matrices between them took minutes with 5,000 classes
        shares = shares * (p.T @ (1.0 / np.maximum(p @ shares, 1e-300))) / len(p)
    return shares / shares.sum()


def correction(shares: np.ndarray) -> np.ndarray:
    """Returns what is added to logits that were learnt from equal shares, float32 [r]; a share below a hundredth of an
    equal one counts as that much."""
    return np.log(np.maximum(shares * len(shares), _LEAST)).astype(np.float32)


def told(prior: str, source_labels: np.ndarray, class_names: Sequence[str]) -> np.ndarray | None:
    """Returns the shares of `--target_prior`, float64 [r]; None where they are all the same, or to be estimated.

    Args:
      prior: of the settings.
      source_labels: int [n].
      class_names: r names.

    Raises:
      DataError: there is no source; see `read_shares`.
    """
    if prior in (UNIFORM, ESTIMATE):
        return None
    if prior != SOURCE:
        return read_shares(prior, class_names)
    if not len(source_labels):
        raise DataError("--target_prior=source: there is no source here; expected estimate, uniform or a file.")
    return np.bincount(source_labels, minlength=len(class_names)) / len(source_labels)


def read_shares(path: str, class_names: Sequence[str]) -> np.ndarray:
    """Reads shares from a file with `class,share` a line, float64 [r]; a class that is not in it has none.

    Raises:
      UserError: it is not that.
    """
    with explained(f"--target_prior={shown(path)}", "Expected 'class,share' a line, numbers from 0 up."):
        rows = csv.reader(read_regular(path, _MOST_BYTES).decode("utf-8-sig").splitlines())
        pairs = [(name.strip(), float(share)) for name, share in filter(None, rows)]
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("it names a class twice")
        if unknown := sorted(set(found) - set(class_names)):
            raise ValueError(f"it has the class {unknown[0]!r}, which the source has not")
        shares = np.array([found.get(name, 0.0) for name in class_names])
        if not (shares >= 0).all() or not 0 < shares.sum() < math.inf:
            raise ValueError(f"it has shares {shares.min():g} to {shares.max():g}")
    return shares / shares.sum()
