"""The closed form against the nested tape, in float64; and both where a discriminator saturates."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.methods.gsda.gradient_norms import GRADIENT_NORMS
from tests import rounding
from tests.rounding import double

N, M, D = 3, 7, 5


pytestmark = pytest.mark.usefixtures("in_double")


def _setup(units, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    bank = double("models.discriminators").DiscriminatorBank(N, units, D, seed=seed)
    for bias in bank.biases:
        bias.assign(0.3 * rng.normal(size=bias.shape))
    x = tf.constant(scale * rng.normal(size=(N, M, D)))
    domains = tf.constant([1, 1, 1, 0, 0, 0, 0], tf.float64)
    weights = tf.constant(rng.uniform(size=(N, M)))
    return bank, x, domains, weights


def _objective(way, bank, x, domains, weights):
    """Something of logits and slopes whose parts all count, and its gradients to the samples and the weights."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits, norms = double("methods.gsda.gradient_norms").GRADIENT_NORMS[way](bank, x, domains)
        loss = tf.reduce_sum(weights * (tf.sin(logits) + tf.square(norms) + norms))
    return logits, norms, tape.gradient(loss, [x, *bank.trainable_variables])


@pytest.mark.parametrize("units", [(6,), (6, 4), (5, 4, 6)])
def test_closed_form_gives_what_the_nested_tape_gives(units):
    for seed in range(3):
        setup = _setup(units, seed=seed)
        closed, taped = _objective("closed_form", *setup), _objective("tapes", *setup)
        gradients = [tf.zeros_like(mine) if each is None else each for mine, each in zip(closed[2], taped[2])]
        assert rounding.distance([*closed[:2], *closed[2]], [*taped[:2], *gradients]) < rounding.STEP


def test_slope_gradient_is_the_difference_quotient():
    bank, x, domains, weights = _setup((6, 4))
    *_, gradients = _objective("closed_form", bank, x, domains, weights)
    # Of one weight of each layer, in a direction of many digits.
    for variable, gradient in zip(bank.trainable_variables, gradients[1:]):
        direction = np.random.default_rng(1).normal(size=variable.shape)
        values, eps = [], 1e-6
        start = np.asarray(variable)
        for sign in (1, -1):
            variable.assign(start + sign * eps * direction)
            logits, norms = double("methods.gsda.gradient_norms").in_closed_form(bank, x, domains)
            values.append(tf.reduce_sum(weights * (tf.sin(logits) + tf.square(norms) + norms)).numpy())
        variable.assign(start)
        expected = (values[0] - values[1]) / (2 * eps)
        # A quotient of two rounded sums: u / eps is 1e-10, and eps squared is less.
        assert float(tf.reduce_sum(gradient * direction)) == pytest.approx(expected, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("way", GRADIENT_NORMS)
def test_saturated_and_dead_discriminators_give_zero_not_nan(way):
    bank, x, domains, weights = _setup((6, 4), scale=1e4)
    bank.biases[0].assign(bank.biases[0] - np.array([[[0.0]], [[1e6]], [[0.0]]]))  # the second one is dead
    _, norms, gradients = _objective(way, bank, x, domains, weights)
    assert np.isfinite(norms).all() and (np.asarray(norms)[1] == 0).all()
    for gradient in gradients:
        assert gradient is None or np.isfinite(gradient).all()
