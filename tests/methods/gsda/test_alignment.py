import numpy as np
import pytest
import tensorflow as tf

from tests import rounding
from tests.methods.gsda import reference
from tests.rounding import double

alignment, domain = double("methods.gsda.alignment"), double("losses")
pytestmark = pytest.mark.usefixtures("in_double")

GROUPS = [[0, 2], [1, 3]]


def test_weights_against_the_reference():
    logits = np.random.default_rng(0).normal(size=(3, 4))
    labels = np.array([0, 1, 3])
    p = alignment.class_probabilities(tf.constant(labels), tf.constant(logits), 4)
    weights = alignment.loss_weights(
        p, tf.constant(double("methods.gsda.hierarchy").hierarchy_from_groups(4, GROUPS).membership)
    )
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert rounding.distance(weights, reference.loss_weights(labels, softmax, GROUPS)) < rounding.STEP


def test_probabilities_carry_no_gradient():
    logits = tf.Variable(tf.ones([2, 3], tf.float64))
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(alignment.class_probabilities(tf.constant([0]), logits, 3)[:, 0])
    assert tape.gradient(value, logits) is None


def test_losses_against_the_reference():
    rng = np.random.default_rng(1)
    bank = double("models.discriminators").DiscriminatorBank(7, (6, 5), 4, seed=3)
    features = rng.normal(size=(6, 4))
    weights = rng.uniform(size=(7, 6))
    domains = domain.domain_labels(2, 4)
    entropies = domain.discrimination_entropy(bank(tf.constant(features)), domains)
    losses = alignment.alignment_losses(tf.constant(weights), entropies, 6)
    kernels = [np.asarray(k, np.float64) for k in bank.kernels]
    biases = [np.asarray(b, np.float64) for b in bank.biases]
    expected, _ = reference.losses_and_magnitudes(kernels, biases, features, [1, 1, 0, 0, 0, 0], weights)
    assert rounding.distance(losses, expected) < rounding.STEP
