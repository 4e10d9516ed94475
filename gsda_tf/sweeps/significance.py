"""Is one method better than another, over the same tasks and seeds?"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Comparison(NamedTuple):
    """One method against another, paired.

    Attributes:
      pairs: number of runs that both have.
      difference: mean of first - second, in the unit of the values.
      low: lower end of its 95 % confidence interval (Student's t); NaN with fewer than two pairs.
      high: upper end.
      wins: pairs in which the first is better.
      losses: pairs in which the second is better.
      p_t: two-sided p of the paired t-test.
      p_wilcoxon: two-sided p of Wilcoxon's signed-rank test, which assumes no normal distribution.
    """

    pairs: int
    difference: float
    low: float
    high: float
    wins: int
    losses: int
    p_t: float
    p_wilcoxon: float


def compare(first: Mapping[Hashable, float], second: Mapping[Hashable, float]) -> Comparison:
    """Compares two methods over the runs that both have.

    Args:
      first: accuracy by what two runs must share to be a pair, such as (task, seed).
      second: likewise.
    """
    d = np.array([first[unit] - second[unit] for unit in sorted(first.keys() & second.keys())], float)
    difference = float(d.mean()) if len(d) else math.nan
    low = high = p_t = p_wilcoxon = math.nan
    if len(d) >= 2:
        if np.ptp(d) > 0:
            test = stats.ttest_1samp(d, 0.0)
            p_t, (low, high) = float(test.pvalue), map(float, test.confidence_interval())
        else:  # all differences are equal: nothing varies, so there is no test, only a difference or none
            low = high = difference
            p_t = 1.0 if difference == 0 else math.nan
        p_wilcoxon = float(stats.wilcoxon(d).pvalue) if (d != 0).any() else 1.0
    return Comparison(len(d), difference, low, high, int((d > 0).sum()), int((d < 0).sum()), p_t, p_wilcoxon)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down correction (1979), float [n]; a NaN stays NaN and does not count."""
    p = np.asarray(p_values, float)
    order, corrected = np.argsort(p), np.empty_like(p)  # NaN comes last
    left = np.isfinite(p).sum() - np.arange(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * left), 1)
    return corrected
