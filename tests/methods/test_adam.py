"""Adam by its formula, step by step, and where it takes the place of SGD."""

import numpy as np
import pytest
import tensorflow as tf

from tests.methods.build import batch, experiment
from tests.rounding import double


@pytest.mark.usefixtures("in_double")
def test_adam_by_its_formula():
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 2)), rng.normal(size=(4, 3, 2))
    variable = tf.Variable(start)
    adam = double("methods.optimizer").Adam([variable], 0.1)
    m = v = 0.0
    expected = start
    for t, g in enumerate(gradients, 1):
        adam.apply([tf.constant(g)], tf.constant(7.0, tf.float64))  # the run's rate is not its own
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        expected = expected - 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(variable, expected, rtol=1e-12)
    before = [variable.numpy(), *(x.numpy() for x in adam.velocities)]
    adam.apply([None], tf.constant(7.0, tf.float64), apply_if=tf.constant(False))
    for old, new in zip(before, [variable, *adam.velocities]):
        np.testing.assert_array_equal(old, new)


def test_a_method_says_what_adam_moves_and_how_fast_its_classifier_learns():
    built = experiment("adda")
    built.training_step(batch(), tf.constant(0, tf.int64), "source")
    counts = {n: o.velocities[2].numpy() for n, o in built.training_step.optimizers.items() if n.startswith("adapt/")}
    assert set(counts) == {"adapt/backbone", "adapt/bottleneck", "adapt/discriminators"} and not any(counts.values())
    built.training_step(batch(), tf.constant(5, tf.int64), "adapt")
    assert all(built.training_step.optimizers[n].velocities[2].numpy() == 1 for n in counts)
    assert any("adapt/bottleneck" in name for name in built.state())  # checkpointed
    assert experiment("symnets").training_step.optimizers["classifier"]._rate == 10.0
