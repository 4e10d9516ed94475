"""BNM against its peers' numbers, and where a singular value decomposition has no gradient."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.methods import bnm
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def loss(logits):
    return double("methods.bnm").batch_nuclear_norm(tf.convert_to_tensor(logits))


def test_against_peers():
    peers.compare("bnm/pytorch_adapt", lambda z_t: loss(z_t))
    # DeepDA takes the mean of the min(8, 5) singular values, not their sum divided by the 8 samples.
    peers.compare("bnm/deepda_mean_singular_value", lambda z_t: loss(z_t), value=5 / 8)


def test_the_term_is_weighted():
    module = double("methods.bnm")
    term = module.BNMTerm(module.BNMTerm.Options(bnm_weight=0.3))
    peers.compare("bnm/pytorch_adapt", lambda z_t: term.loss(peers.batch(z_t=z_t)), value=0.3)


@pytest.mark.parametrize("shape", [(3, 6), (6, 3), (4, 4)])
def test_gradient_against_differences(shape):
    peers.differentiate(loss, np.random.default_rng(0).normal(size=shape))


def test_limits():
    # Uniform: rank 1, norm sqrt(N / r). Sure of one class: sqrt(N). Sure and balanced over r classes: sqrt(N r).
    np.testing.assert_allclose(loss(np.zeros([8, 4])), -((8 / 4) ** 0.5) / 8, rtol=1e-12)
    np.testing.assert_allclose(loss(100.0 * np.eye(4)[[1] * 8]), -(8**0.5) / 8, rtol=1e-12)
    np.testing.assert_allclose(loss(100.0 * np.eye(4)[[0, 1, 2, 3] * 2]), -((8 * 4) ** 0.5) / 8, rtol=1e-12)


def test_order_of_samples_and_of_classes_does_not_matter():
    logits, rng = peers.NUMBERS["inputs/z_t"], np.random.default_rng(0)
    for same in (logits[rng.permutation(8)], logits[:, rng.permutation(5)]):
        np.testing.assert_allclose(loss(same), loss(logits), rtol=1e-12)


@pytest.mark.parametrize("logits", [
    np.zeros([4, 3]),  # all singular values but one are 0
    100.0 * np.eye(4),  # all are equal
    np.repeat(np.eye(4)[:2], 3, axis=0),  # equal rows, and columns
    np.zeros([1, 1]),
], ids=["zero", "equal", "repeated", "one"])  # fmt: skip
def test_the_gradient_is_finite_at_equal_and_zero_singular_values(logits):
    value, (gradient,) = peers.gradients(bnm.batch_nuclear_norm, tf.constant(logits, tf.float32))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_the_gradient_at_equal_singular_values_is_the_smooth_one():
    # All singular values are equal and not 0: U V' is unique and the norm differentiable there.
    peers.differentiate(loss, 2.0 * np.eye(4))
