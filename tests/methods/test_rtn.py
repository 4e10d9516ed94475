"""RTN against its peer's number, its identity, and in its limits."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import losses
from gsda_tf.methods import rtn
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def test_against_the_peer():
    """Xlearn's discrepancy on the outer product of features and logits, which is built there."""
    method = peers.method("rtn", "RTN", entropy_weight=0.0)

    def loss(f_s, f_t, z_s, z_t):
        b = peers.batch(f_s, f_t, z_s, z_t)
        return method.loss(b) - method.classification(b)

    peers.compare("rtn/xlearn_dan_on_outer_product_raw_logits", loss)


def test_distances_of_products_that_are_not_built():
    features, logits = np.asarray(peers.both("f")), np.asarray(peers.both("z"))
    products = (features[:, :, None] * logits[:, None, :]).reshape(16, -1)
    expected = ((products[:, None] - products) ** 2).sum(-1)
    peers.agree(double("methods.rtn").product_distances(*(tf.constant(x) for x in (features, logits))), expected)


def test_the_residual_is_the_sources_alone():
    method, b = peers.method("rtn", "RTN", mmd_weight=0.0, entropy_weight=0.0), peers.batch()
    first, _, last, _ = method.residual.trainable_variables
    logits = np.asarray(b.source_logits)
    residual = np.maximum(logits @ np.asarray(first), 0) @ np.asarray(last)
    assert 0 < np.abs(residual).max() < 0.5  # it starts small
    for scale in (1.0, 0.0):
        last.assign(scale * np.asarray(last))
        p = peers.softmax(logits + scale * residual)
        expected = -np.log(p[np.arange(8), peers.LABELS]).mean()
        np.testing.assert_allclose(method.loss(b), expected, rtol=1e-12)


def test_the_entropy_is_the_targets_and_rises():
    for progress in (0.0, 0.1, 1.0):
        b = peers.batch(progress=progress)
        values = [peers.method("rtn", "RTN", mmd_weight=0.0, entropy_weight=w) for w in (0.7, 0.0)]
        for method in values:
            method.residual.trainable_variables[2].assign(np.zeros([5, 5]))
        difference = values[0].loss(b) - values[1].loss(b)
        expected = 0.7 * np.tanh(5 * progress) * peers.NUMBERS["entropy/pytorch_adapt/loss"]
        np.testing.assert_allclose(difference, expected, rtol=1e-9, atol=1e-12)


def test_scale_and_rotation_do_not_matter():
    f_s, f_t, z_s, z_t = (np.asarray(x) for x in peers.given("f_s", "f_t", "z_s", "z_t"))
    module, turn = double("methods.rtn"), peers.rotation(peers.D)

    def value(s, t, zs, zt):
        distances = module.product_distances(*(tf.constant(np.concatenate(x)) for x in ((s, t), (zs, zt))))
        return double("losses").mmd_quadratic(double("losses").gaussian_kernels(distances), len(s))

    expected = peers.NUMBERS["rtn/xlearn_dan_on_outer_product_raw_logits/loss"]
    for same in ((f_s @ turn, f_t @ turn, z_s, z_t), (3 * f_s, 3 * f_t, z_s, z_t), (f_s, f_t, -z_s, -z_t),
                 (f_t, f_s, z_t, z_s)):  # fmt: skip
        np.testing.assert_allclose(value(*same), expected, rtol=1e-9)


@pytest.mark.parametrize("features, logits", [(np.zeros([4, 3]), np.ones([4, 2])), (np.ones([4, 3]), np.ones([4, 2]))])
def test_equal_products_are_no_nan(features, logits):
    compute = lambda f, z: losses.mmd_quadratic(losses.gaussian_kernels(rtn.product_distances(f, z)), 2)  # noqa: E731
    value, found = peers.gradients(compute, *(tf.constant(x, tf.float32) for x in (features, logits)))
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in found)
