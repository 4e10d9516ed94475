"""BSP against its peers' numbers, and where a singular value decomposition has no gradient."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.methods import bsp
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def penalty(features):
    return double("methods.bsp").largest_singular_value_squared(tf.convert_to_tensor(features))


def term(weight):
    module = double("methods.bsp")
    return module.BSPTerm(module.BSPTerm.Options(bsp_weight=weight))


def test_against_peers():
    peers.compare("bsp/tllib", lambda f_s, f_t: term(1.0).loss(peers.batch(f_s, f_t)))


def test_the_penalty_is_added_to_cdan():
    features = peers.given("f_s", "f_t")
    ours, theirs = peers.method("bsp", "BSP", bsp_weight=0.01), peers.method("cdan", "CDAN", entropy_conditioning=True)
    one, its = peers.gradients(lambda s, t: ours.loss(peers.batch(s, t)), *features)
    two, others = peers.gradients(lambda s, t: theirs.loss(peers.batch(s, t)), *features)
    np.testing.assert_allclose(one - two, 0.01 * peers.NUMBERS["bsp/tllib/loss"], rtol=1e-9)
    for a, b, name in zip(its, others, ("f_s", "f_t")):
        peers.agree(a - b, 0.01 * peers.NUMBERS[f"bsp/tllib/grad_{name}"])


@pytest.mark.parametrize("shape", [(3, 6), (6, 3), (4, 4), (1, 5), (5, 1)])
def test_against_a_decomposition_and_differences(shape):
    x = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(penalty(x), np.linalg.norm(x, 2) ** 2, rtol=1e-12)
    peers.differentiate(penalty, x)


def test_rank_one():
    x = np.outer([1.0, -2.0, 0.5], [3.0, 0.0, 1.0, 2.0])
    np.testing.assert_allclose(penalty(x), np.sum(x**2), rtol=1e-12)


def test_orthogonal_rows():
    x = np.diag([1.0, 3.0, 2.0]) @ peers.rotation(6)[:3]
    np.testing.assert_allclose(penalty(x), 9.0, rtol=1e-12)


def test_a_rotation_and_the_order_of_samples_do_not_matter():
    x = np.asarray(peers.both("f"))
    for same in (x @ peers.rotation(peers.D), x[np.random.default_rng(0).permutation(16)]):
        np.testing.assert_allclose(penalty(same), penalty(x), rtol=1e-12)


def test_of_second_degree():
    x = peers.both("f")
    value, (gradient,) = peers.gradients(penalty, x)
    np.testing.assert_allclose(np.sum(x * gradient), 2 * value, rtol=1e-12)


@pytest.mark.parametrize("features", [
    np.zeros([4, 6]),
    np.eye(4),  # all singular values are equal
    np.pad(np.ones([4, 1]), [[0, 0], [0, 5]]),  # all but one are 0, as of features after a ReLU
    np.ones([6, 4]),
], ids=["zero", "equal", "one_column", "repeated"])  # fmt: skip
def test_the_gradient_is_finite_at_equal_and_zero_singular_values(features):
    value, (gradient,) = peers.gradients(bsp.largest_singular_value_squared, tf.constant(features, tf.float32))
    assert np.isfinite(gradient).all()
    # One of the subgradients: of the length that the value says (2 sigma_1).
    np.testing.assert_allclose(np.linalg.norm(gradient), 2 * np.sqrt(value), rtol=1e-5, atol=1e-6)
