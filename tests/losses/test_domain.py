"""Cross-entropy of discriminators, and gradient reversal."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import losses
from tests.methods import peers


def test_entropy_against_the_definition():
    rng = np.random.default_rng(0)
    logits, domains = rng.normal(size=(3, 5)), np.array([1, 1, 0, 0, 0.0])
    p = 1 / (1 + np.exp(-logits))
    expected = -np.where(domains == 1, np.log(p), np.log(1 - p))
    ours = losses.discrimination_entropy(tf.constant(logits), tf.constant(domains))
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    np.testing.assert_array_equal(losses.domain_labels(2, 3), domains)


def test_swapped_domains_and_negated_logits_are_the_same():
    logits, domains = tf.constant([[0.3, -2.0, 50.0]]), tf.constant([1.0, 0.0, 1.0])
    np.testing.assert_array_equal(
        losses.discrimination_entropy(-logits, 1 - domains), losses.discrimination_entropy(logits, domains)
    )


@pytest.mark.parametrize("logit", [1e4, -1e4, 100.0, -100.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_sure_critic_is_finite(logit, label):
    """A logarithm of a sigmoid would be infinite where it is sure and wrong."""
    loss = lambda z: tf.reduce_sum(losses.discrimination_entropy(z, tf.constant([label])))  # noqa: E731
    value, (gradient,) = peers.gradients(loss, tf.constant([[logit]]))
    wrong = (logit > 0) != (label == 1)
    np.testing.assert_allclose(value, abs(logit) if wrong else 0, atol=1e-30)
    np.testing.assert_allclose(gradient, [[np.sign(logit) if wrong else 0]], atol=1e-30)


@pytest.mark.parametrize("strength", [0.0, 0.3, 2.0])
def test_a_reversed_gradient(strength):
    x = tf.constant([1.0, -2.0, 3.0])
    value, (gradient,) = peers.gradients(lambda x: tf.reduce_sum(losses.reverse_gradient(x, strength) ** 2), x)
    assert value == 14
    np.testing.assert_allclose(gradient, -strength * 2 * x, rtol=1e-6)
    twice = lambda x: tf.reduce_sum(losses.reverse_gradient(losses.reverse_gradient(x, strength), 1.0))  # noqa: E731
    np.testing.assert_allclose(peers.gradients(twice, x)[1][0], strength, rtol=1e-6)


def test_a_strength_for_each_critic():
    x, strength = tf.ones([2, 3, 4]), tf.constant([0.5, 2.0])[:, None, None]
    _, (gradient,) = peers.gradients(lambda x: tf.reduce_sum(losses.reverse_gradient(x, strength)), x)
    np.testing.assert_array_equal(gradient, -np.broadcast_to(strength, [2, 3, 4]))
