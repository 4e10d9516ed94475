import math

import numpy as np
import pytest
from scipy import stats

from gsda_tf.sweeps import significance


def _values(seed=0, shift=1.0, n=12):
    rng = np.random.default_rng(seed)
    units = [(f"t{i // 3}", i % 3) for i in range(n)]
    base = rng.normal(60, 10, n)
    return {
        "a": dict(zip(units, base)),
        "b": dict(zip(units, base + shift + rng.normal(0, 1, n))),
        "c": dict(zip(units[:2], base[:2])),
    }


def test_against_scipy():
    values = _values()
    found = significance.compare(values["b"], values["a"])
    first, second = list(values["b"].values()), list(values["a"].values())
    reference = stats.ttest_rel(first, second)
    interval = reference.confidence_interval(0.95)
    assert found.p == pytest.approx(reference.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.difference == pytest.approx(np.mean(first) - np.mean(second))
    assert found.wins + found.losses == found.pairs == 12


def test_only_shared_runs_are_pairs():
    assert significance.compare(_values()["b"], _values()["c"]).pairs == 2


def test_one_pair_and_equal_runs():
    single = significance.compare({("t", 0): 2.0}, {("t", 0): 1.0})
    assert single.difference == 1 and single.wins == 1 and math.isnan(single.p) and math.isnan(single.low)
    same = {("t", 0): 2.0, ("t", 1): 3.0}
    assert significance.compare(same, same).p == 1
