"""The package in float64, and how far two computations are apart."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.errors import UserError
from tests import rounding
from tests.rounding import double


def test_distance_is_relative_to_each_array():
    one = {"a": np.array([1000.0, 1e-9]), "b": np.array([0.001])}
    assert rounding.distance(one, {"a": np.array([1000.0, 2e-9]), "b": np.array([0.001])}) == pytest.approx(1e-12)
    assert rounding.distance(one, {"a": np.array([1000.0, 1e-9]), "b": np.array([0.002])}) == pytest.approx(0.5)
    with pytest.raises(AssertionError):
        rounding.distance(one, {"a": np.array([1000.0, np.nan]), "b": np.array([0.001])})


def test_sums_keep_to_the_bound():
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    forwards, backwards = np.float32(0), np.float32(0)
    for one, other in zip(values, values[::-1]):
        forwards, backwards = forwards + one, backwards + other
    assert forwards != backwards
    assert abs(forwards - backwards) < 2 * rounding.bound(1000, np.float32) * np.abs(values).sum()


@pytest.mark.usefixtures("in_double")
def test_the_package_in_double_is_the_package():
    built = [package("methods.gsda.hierarchy") for package in (rounding.single, double)]
    hierarchies = [module.build_hierarchy(4, (2,), ("domain", "class"), 0) for module in built]
    assert [h.levels[1].membership.dtype for h in hierarchies] == [np.float32, np.float64]
    settings = double("settings").Settings().replace({"extractor": "small_cnn", "weights": "none"})
    extractor = double("models.extractor").build_extractor(settings.model, 8)
    features = extractor(tf.zeros([2, 8, 8, 3], tf.uint8))
    assert features.dtype == tf.float64 and all(v.dtype == tf.float64 for v in extractor.variables)
    with pytest.raises(UserError):  # the package's own
        double("settings").Settings().replace({"beta": -1})
