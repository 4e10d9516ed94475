"""MDD against its authors' numbers, in its limits, and where log(1 - p) is not finite."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.methods import mdd
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def method(z2_s, z2_t, **options):
    """Whose adversarial head says these logits, and passes their gradient on unreversed."""
    made = peers.method("mdd", "MDD", mdd_head_units=(), **options)
    made.adversary = lambda features: tf.concat([z2_s, z2_t], 0)
    return made


def margin(z_s, z_t, z2_s, z2_t, **options):
    """All but the source's cross-entropy."""
    made, b = method(z2_s, z2_t, **options), peers.batch(z_s=z_s, z_t=z_t)
    return made.loss(b) - made.classification(b)


def test_against_the_authors():
    """Their log(1 - p) is plain; ours is exact, and the same where theirs is finite."""
    peers.compare(
        "mdd/author_total_srcweight4",
        lambda z_s, z_t, z2_s, z2_t: method(z2_s, z2_t, mdd_margin=4.0).loss(peers.batch(z_s=z_s, z_t=z_t)),
    )


@pytest.mark.parametrize("gamma", ["2", "4"])
def test_against_a_peer(gamma):
    """TLlib gives the negative of what is minimised, and has 1e-6 in the logarithm; nothing goes into h."""
    key = f"mdd/tllib_gamma{gamma}"
    value, found = peers.gradients(
        lambda *z: margin(*z, mdd_margin=float(gamma)), *peers.given("z_s", "z_t", "z2_s", "z2_t")
    )
    said = peers.NUMBERS["inputs/z_t"].argmax(1)
    floor = 1e-6 / (1 - peers.softmax(peers.NUMBERS["inputs/z2_t"])[np.arange(8), said]).min()
    peers.agree(value, -peers.NUMBERS[f"{key}/loss"], floor)
    for name, gradient in zip(("z_s", "z_t"), found):
        assert not gradient.any()
        assert not peers.NUMBERS[f"{key}/grad_{name}"].any()
    for name, gradient in zip(("z2_s", "z2_t"), found[2:]):
        peers.agree(gradient, -peers.NUMBERS[f"{key}/grad_{name}"], 10 * floor)


def test_the_features_get_it_reversed_and_weak():
    made = peers.method("mdd", "MDD", mdd_head_units=())
    weights, bias = made.adversary.trainable_variables
    weights.assign(0.1 * np.random.default_rng(0).normal(size=weights.shape))
    z_s, z_t = peers.given("z_s", "z_t")

    def through(progress):
        def loss(s, t):
            b = peers.batch(s, t, progress=progress)
            return made.loss(b) - made.classification(b)

        return peers.gradients(loss, *peers.given("f_s", "f_t"))

    def plain(s, t):
        return margin(z_s, z_t, *(f @ tf.convert_to_tensor(weights) + tf.convert_to_tensor(bias) for f in (s, t)))

    value, expected = peers.gradients(plain, *peers.given("f_s", "f_t"))
    for progress in (0.0, 0.1, 1.0):
        ours, found = through(progress)
        np.testing.assert_allclose(ours, value, rtol=1e-12)
        for one, other in zip(found, expected):
            peers.agree(one, -0.1 * np.tanh(5 * progress) * other)


def test_an_adversary_that_knows_nothing():
    zeros = tf.zeros([8, 5], tf.float64)
    value, found = peers.gradients(lambda a, b: margin(*peers.given("z_s", "z_t"), a, b, mdd_margin=4.0), zeros, zeros)
    np.testing.assert_allclose(value, 4 * np.log(5) - np.log(1 - 1 / 5), rtol=1e-12)
    for gradient in found:
        np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-15)
        assert gradient.any()


@pytest.mark.parametrize("gamma", [2.0, 4.0])
def test_the_best_adversary_for_domains_that_are_the_same(gamma):
    """p'_yhat = gamma / (1 + gamma), where the gradient is 0."""
    z_s = peers.given("z_s")[0]
    best = np.full([8, 5], 1 / (1 + gamma) / 4)
    best[np.arange(8), np.argmax(z_s, 1)] = gamma / (1 + gamma)
    logits = tf.constant(np.log(best))

    def loss(z):
        return margin(z_s, z_s, z, z, mdd_margin=gamma)

    _, (gradient,) = peers.gradients(loss, logits)
    assert np.abs(gradient).max() < 1e-12
    step = np.random.default_rng(0).normal(size=(8, 5))
    assert loss(logits + 0.1 * step) > loss(logits) and loss(logits - 0.1 * step) > loss(logits)


def test_disagreement_against_the_definition_and_differences():
    disagreement, rng = double("methods.mdd").disagreement, np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 4)), np.array([0, 1, 2, 3, 0, 2])
    expected = -np.log(1 - peers.softmax(logits)[np.arange(6), labels])
    np.testing.assert_allclose(disagreement(tf.constant(logits), tf.constant(labels)), expected, rtol=1e-12)
    peers.differentiate(lambda z: tf.reduce_sum(disagreement(z, tf.constant(labels))), logits)


def test_a_sure_adversary_is_finite():
    """1 - p rounds to 0 in float32 from 17 on; -log of it is 50, not infinite."""
    logits = tf.constant([[50.0, 0.0, -3.0], [1e4, 0.0, 0.0], [-1e4, 0.0, 0.0], [0.0, 0.0, 0.0]])
    loss = lambda z: tf.reduce_sum(mdd.disagreement(z, tf.constant([0, 0, 0, 1])))  # noqa: E731
    _, (gradient,) = peers.gradients(loss, logits)
    values = mdd.disagreement(logits, tf.constant([0, 0, 0, 1]))
    expected = [50 - np.log(1 + np.exp(-3.0)), 1e4 - np.log(2), 0, -np.log(2 / 3)]
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient[0, 0], 1, rtol=1e-5)  # it does not vanish where it is needed


def test_one_class_has_no_other():
    value, (gradient,) = peers.gradients(
        lambda z: tf.reduce_sum(mdd.disagreement(z, tf.zeros([3], tf.int32))), tf.ones([3, 1])
    )
    assert value == 0 and not gradient.any()
