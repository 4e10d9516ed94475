import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import losses
from tests import rounding
from tests.methods import peers


def test_against_the_definition():
    rng = np.random.default_rng(0)
    source, target, labels = rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), np.array([0, 3, 1, 2, 2])
    p = np.exp(source) / np.exp(source).sum(1, keepdims=True)
    q = np.exp(target) / np.exp(target).sum(1, keepdims=True)
    cross_entropies = losses.source_cross_entropy(tf.constant(source), tf.constant(labels))
    np.testing.assert_allclose(cross_entropies, -np.log(p[np.arange(5), labels]), rtol=1e-9)
    entropies = losses.conditional_entropy(tf.constant(target))
    np.testing.assert_allclose(entropies, -(q * np.log(q)).sum(1), rtol=1e-9)


def test_entropy_is_finite_where_a_probability_is_zero():
    logits = tf.Variable([[1000.0, -1000.0, 0.0]])
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(losses.conditional_entropy(logits))
    assert value.numpy() == 0
    assert np.isfinite(tape.gradient(value, logits)).all()


@pytest.mark.usefixtures("in_double")
def test_entropy_against_a_peer():
    """One without a constant in the logarithm."""
    entropy = rounding.double("losses").conditional_entropy
    peers.compare("entropy/pytorch_adapt", lambda z_t: tf.reduce_mean(entropy(z_t)))


def test_entropy_in_the_limits_and_its_slope():
    for classes in (1, 2, 7):
        value, (gradient,) = peers.gradients(losses.conditional_entropy, tf.zeros([1, classes], tf.float64))
        np.testing.assert_allclose(value, np.log(classes), atol=1e-12)
        assert np.abs(gradient).max() < 1e-12
    value, (gradient,) = peers.gradients(losses.conditional_entropy, tf.constant([[1e4, 0.0, 0.0]], tf.float64))
    assert value == 0 and not gradient.any()
    logits = np.random.default_rng(0).normal(size=(1, 4))
    p = peers.softmax(logits)
    value, (gradient,) = peers.gradients(losses.conditional_entropy, tf.constant(logits))
    np.testing.assert_allclose(gradient, -p * (np.log(p) + value.numpy()), rtol=1e-9)
