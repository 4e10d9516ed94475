"""Is one method better than another, over the same tasks and seeds?"""

import math
from collections.abc import Hashable, Mapping
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
      p: two-sided, of the paired t-test.
    """

    pairs: int
    difference: float
    low: float
    high: float
    wins: int
    losses: int
    p: float


def compare(first: Mapping[Hashable, float], second: Mapping[Hashable, float]) -> Comparison:
    """Compares two methods over the runs that both have.

    Args:
      first: accuracy by what two runs must share to be a pair, such as (task, seed).
      second: likewise.
    """
    d = np.array([first[unit] - second[unit] for unit in sorted(first.keys() & second.keys())], float)
    difference = float(d.mean()) if len(d) else math.nan
    low = high = p = math.nan
    if len(d) >= 2 and np.ptp(d) > 0:
        test = stats.ttest_1samp(d, 0.0)
        p, (low, high) = float(test.pvalue), map(float, test.confidence_interval())
    elif len(d) >= 2:  # all differences are equal: nothing varies, so there is no test, only a difference or none
        low = high = difference
        p = 1.0 if difference == 0 else math.nan
    return Comparison(len(d), difference, low, high, int((d > 0).sum()), int((d < 0).sum()), p)
