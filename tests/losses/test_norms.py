"""Norms and distances, also where they have no slope."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import losses
from tests.methods import peers


def test_the_norm_and_its_slope():
    x = tf.constant([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])
    _, (gradient,) = peers.gradients(lambda x: tf.reduce_sum(losses.safe_norm(x)), x)
    np.testing.assert_allclose(losses.safe_norm(x), [5, 0, 2], rtol=1e-6)
    np.testing.assert_allclose(gradient, [[0.6, 0.8], [0, 0], [0, -1]], rtol=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e-10])
def test_a_norm_that_underflows_has_no_nan(size):
    """The square of 1e-20 is 0 in float32, and so is the sum's root."""
    x = tf.constant([[size, size]])
    value, (gradient,) = peers.gradients(lambda x: tf.reduce_sum(losses.safe_norm(x)), x)
    assert np.isfinite(value) and np.isfinite(gradient).all() and np.abs(gradient).max() <= 1


def test_distances_against_the_definition():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(6, 3))
    expected = ((x[:, None] - y) ** 2).sum(-1)
    np.testing.assert_allclose(losses.squared_distances(tf.constant(x), tf.constant(y)), expected, rtol=1e-12)
    loss = lambda x: tf.reduce_sum(tf.sqrt(losses.squared_distances(x, tf.constant(y))))  # noqa: E731
    peers.differentiate(loss, x)


def test_distances_of_close_samples_far_out_are_never_negative():
    x = 1000 + 0.01 * np.random.default_rng(0).normal(size=(20, 8))
    assert np.min(losses.squared_distances(*[tf.constant(x, tf.float32)] * 2)) >= 0
