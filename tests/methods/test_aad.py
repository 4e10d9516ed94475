"""AaD against slow code by its formula, and gradients against differences."""

import numpy as np
import pytest
import tensorflow as tf

from tests.methods import peers
from tests.methods.test_atdoc import PROGRESS, K, batch, made, memory, nearest
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def slow(f_t, z_t, kept, indices, decay):
    p, near = peers.softmax(z_t), nearest(f_t, kept[0], indices, K)
    value = 0.0
    for i in range(len(p)):
        value -= sum(p[i] @ kept[1][j] for j in near[i])
        value += (1 + 10 * PROGRESS) ** -decay * sum(p[i] @ p[m] for m in range(len(p)) if m != i)
    return value / len(p)


@pytest.mark.parametrize("decay", [0.0, 2.0])
def test_the_loss_by_its_formula(decay):
    kept, (f_t, z_t), indices = memory(), peers.given("f_t", "z_t"), np.array([3, 1, 4, 0, 7, 6, 2, 5])
    term = made("aad", "AaDTerm", kept, aad_neighbours=K, aad_weight=0.7, aad_decay=decay)
    np.testing.assert_allclose(term.loss(batch(indices)), 0.7 * slow(f_t, z_t, kept, indices, decay), rtol=1e-9)
    peers.differentiate(lambda z: term.loss(batch(indices, z_t=z)), z_t.numpy())


def test_limits():
    module = double("methods.aad")
    sure = tf.constant(np.eye(4)[[0, 0, 1, 2]])
    np.testing.assert_allclose(module.dispersion(sure), 2 / 4)  # one pair of a class, seen from both
    np.testing.assert_allclose(module.attraction(sure, tf.stack([sure, sure], axis=1)), -2.0)
    assert module.dispersion(sure[:1]) == 0.0
