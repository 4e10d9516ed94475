"""JAN against its peers' numbers and in its limits."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import losses
from gsda_tf.methods import jan
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def loss(estimate):
    method = peers.method("jan", "JAN", mmd_estimate=estimate)

    def compute(f_s, f_t, z_s, z_t):
        b = peers.batch(f_s, f_t, z_s, z_t)
        return method.loss(b) - method.classification(b)

    return compute


@pytest.mark.parametrize("estimate, key", [("quadratic", "jan/xlearn_full"), ("linear", "jan/xlearn_linear")])
def test_against_peers(estimate, key):
    """Those with the fixed bandwidth 1.68; TLlib's is 2 * 0.92^2 = 1.6928."""
    compute = loss(estimate)
    peers.compare(key, lambda f_s, f_t, z_s, z_t: compute(f_s, f_t, z_s, z_t))


@pytest.mark.parametrize("logits", ["uniform", "equal"])
def test_with_one_prediction_for_all_it_is_dan(logits):
    row = np.zeros(5) if logits == "uniform" else np.arange(5.0)
    rows = tf.constant(np.tile(row, [8, 1]))
    value = loss("quadratic")(*peers.given("f_s", "f_t"), rows, rows)
    np.testing.assert_allclose(value, peers.NUMBERS["dan/xlearn_full/loss"], rtol=1e-9)


def test_swapping_domains_and_permuting_both_layers_does_not_matter():
    f_s, f_t, z_s, z_t = peers.given("f_s", "f_t", "z_s", "z_t")
    compute, order = loss("quadratic"), np.random.default_rng(0).permutation(8)
    value = compute(f_s, f_t, z_s, z_t)
    np.testing.assert_allclose(compute(f_t, f_s, z_t, z_s), value, rtol=1e-9)
    permuted = compute(tf.gather(f_s, order), f_t, tf.gather(z_s, order), z_t)
    np.testing.assert_allclose(permuted, value, rtol=1e-9)
    assert abs(compute(tf.gather(f_s, order), f_t, z_s, z_t) - value) > 1e-4


def test_the_kernels_are_multiplied():
    features, probabilities = peers.both("f"), peers.softmax(peers.both("z"))
    module = double("methods.jan")
    p = ((probabilities[:, None] - probabilities) ** 2).sum(-1)
    expected = np.exp(-p / 1.68) * peers.NUMBERS["dan/xlearn_kernel"]  # its upper half
    peers.agree(np.triu(module.joint_kernel(features, tf.constant(probabilities))), expected)


def test_equal_features_are_no_nan():
    features, probabilities = tf.ones([4, 3]), tf.nn.softmax(tf.eye(4))
    compute = lambda f, p: losses.mmd_quadratic(jan.joint_kernel(f, p), 2)  # noqa: E731
    value, found = peers.gradients(compute, features, probabilities)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in found)
