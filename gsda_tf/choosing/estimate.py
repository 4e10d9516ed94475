"""Estimates how accurate an answer is on an unlabelled target, with an interval.

Never from the model's own confidence alone, which says 98 % of what is 73 % right.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

_ERROR = 0.08
"""Half the width of the interval where images are many: nine tenths of the errors where the rule was made."""
_NORMAL = 1.645
_MOST_MOVED = 1000
"""Images that optimal transport moves: its cost grows faster than the square."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """An estimated accuracy.

    Attributes:
      value: 0..1.
      low: lower end of the 90 % interval.
      high: its upper end.
      parts: what it is made of, by name, each 0..1.
    """

    value: float
    low: float
    high: float
    parts: dict[str, float]


def cot(probabilities: np.ndarray, source_shares: np.ndarray) -> float:
    """Confidence by optimal transport (Lu et al., NeurIPS 2023).

    1 - the cost of moving the target's softmaxes to one-hot labels in the source's class shares; to move p to e_k costs
    half their distance in the 1-norm, 1 - p_k. Too low where the target's shares differ from the source's.

    Args:
      probabilities: [n, r]; of more than 1,000 images an evenly spread 1,000 are used.
      source_shares: float [r], adding up to 1.

    Returns:
      0..1.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if len(probabilities) > _MOST_MOVED:
        probabilities = probabilities[np.linspace(0, len(probabilities) - 1, _MOST_MOVED).round().astype(np.int64)]
    n = len(probabilities)
    classes = np.flatnonzero(source_shares > 0)
    exact = source_shares[classes] / source_shares.sum() * n
    counts = np.floor(exact + 1e-9).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1  # the largest remainders
    gain = probabilities[:, np.repeat(classes, counts)]
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return float(gain[rows, columns].mean())


def whole(probabilities: np.ndarray, agreement: np.ndarray, source_shares: np.ndarray) -> Estimate:
    """The accuracy of an answer: the mean agreement of all candidates with it.

    Args:
      probabilities: [n, r], mean softmax of the candidate that answers.
      agreement: float [n], `agreement.agreement` of all candidates with its answers.
      source_shares: float [r].

    Returns:
      The estimate, with an interval of the error that this estimate had where it was made and of the draw of n images.
    """
    parts = {"agreement": float(np.mean(agreement)), "transport": cot(probabilities, source_shares)}
    value = parts["agreement"]
    spread = np.hypot(_ERROR, _NORMAL * np.sqrt(max(value * (1 - value), 1e-4) / len(agreement)))
    return Estimate(value, float(max(value - spread, 0)), float(min(value + spread, 1)), parts)
