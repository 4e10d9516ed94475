"""Is one method better than another, over the same tasks and seeds?"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

Unit = tuple[str, int]
"""(task, seed): what two runs must share to be a pair."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Method `first` against `second`, paired.

    Attributes:
      first: name of a method.
      second: name of a method.
      pairs: number of (task, seed) that both have.
      difference: mean of first - second, in the unit of the values.
      low: lower end of its 95 % confidence interval (Student's t); NaN with fewer than two pairs.
      high: upper end.
      wins: pairs in which the first is better.
      losses: pairs in which the second is better.
      p_t: two-sided p of the paired t-test.
      p_wilcoxon: two-sided p of Wilcoxon's signed-rank test, which assumes no normal distribution.
      p_holm: `p_t` after Holm's correction for all comparisons made together.
    """

    first: str
    second: str
    pairs: int
    difference: float
    low: float
    high: float
    wins: int
    losses: int
    p_t: float
    p_wilcoxon: float
    p_holm: float = math.nan


def compare(first: str, second: str, values: Mapping[str, Mapping[Unit, float]]) -> Comparison:
    """Compares two methods over the runs that both have.

    Args:
      first: name in `values`.
      second: name in `values`.
      values: accuracy by method and (task, seed).
    """
    units = sorted(set(values[first]) & set(values[second]))
    d = np.array([values[first][unit] - values[second][unit] for unit in units], float)
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
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    return Comparison(first, second, len(d), difference, low, high, wins, losses, p_t, p_wilcoxon)


def compare_all(methods: Sequence[str], values: Mapping[str, Mapping[Unit, float]]) -> list[Comparison]:
    """Every pair of methods, the later against the earlier, with Holm's correction.

    Args:
      methods: in the order of the table.
      values: accuracy by method and (task, seed).

    Returns:
      Comparisons that have at least one pair of runs.
    """
    found = [compare(second, first, values) for first, second in itertools.combinations(methods, 2)]
    found = [comparison for comparison in found if comparison.pairs]
    corrected = holm([comparison.p_t for comparison in found])
    return [dataclasses.replace(comparison, p_holm=p) for comparison, p in zip(found, corrected)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979); a NaN stays NaN and does not count."""
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    corrected, highest = list(p_values), 0.0
    for rank, i in enumerate(sorted(known, key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(known) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected
