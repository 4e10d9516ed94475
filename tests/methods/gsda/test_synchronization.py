import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.compat import tf_variable
from tests import rounding
from tests.methods.gsda import reference
from tests.rounding import double

synchronization, hierarchy_lib = double("methods.gsda.synchronization"), double("methods.gsda.hierarchy")
pytestmark = pytest.mark.usefixtures("in_double")

GROUPS = [[0, 2], [1]]


def _bank(count, d=4, seed=0):
    bank = double("models.discriminators").DiscriminatorBank(count, (6, 5), d, seed=seed)
    rng = np.random.default_rng(seed)
    for bias in bank.biases:
        bias.assign(rng.normal(size=bias.shape) * 0.3)
    return bank


def _magnitudes(bank, features, weights, domains):
    copies = tf.broadcast_to(features, [bank.num_discriminators, *features.shape])
    with tf.GradientTape() as inner:
        inner.watch(copies)
        entropies = double("losses").discrimination_entropy(bank(copies), domains)
    norms = double("losses").safe_norm(inner.gradient(entropies, copies))
    return synchronization.gradient_magnitudes(weights, norms, features.shape[0])


def _setting(seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(5, 4))
    logits = rng.normal(size=(3, 3))
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    weights = reference.loss_weights(np.array([0, 1]), softmax, GROUPS)
    return features, weights, np.array([1.0, 1, 0, 0, 0])


def test_magnitudes_and_loss_against_the_reference():
    features, weights, domains = _setting()
    bank = _bank(6)
    magnitudes = _magnitudes(bank, *map(tf.constant, (features, weights, domains)))
    kernels = [np.asarray(k, np.float64) for k in bank.kernels]
    biases = [np.asarray(b, np.float64) for b in bank.biases]
    _, expected = reference.losses_and_magnitudes(kernels, biases, features, domains, weights)
    # The reference takes quotients of differences over 1e-6: they are off by u / 1e-6, 1e-10 of an entropy.
    assert rounding.distance(magnitudes, expected) < 1e-8
    loss = synchronization.synchronization_loss(magnitudes, hierarchy_lib.hierarchy_from_groups(3, GROUPS))
    assert float(loss) == pytest.approx(reference.synchronization(expected, GROUPS), rel=1e-7)


def test_by_hand():
    # Domain 5; groups 2 and 1; classes 1, 3 (group 0: classes 0 and 2), 0.5.
    magnitudes = tf.constant([5.0, 2.0, 1.0, 1.0, 0.5, 3.0], tf.float64)
    # (11): |5 - 3| = 2.  (10): |2 - (1 + 3)| = 2 and |1 - 0.5| = 0.5, mean 1.25.
    loss = synchronization.synchronization_loss(magnitudes, hierarchy_lib.hierarchy_from_groups(3, GROUPS))
    np.testing.assert_allclose(loss, 3.25)


def test_two_levels_of_groups_add_a_pair():
    hierarchy = hierarchy_lib.build_hierarchy(4, [2, 4], ("domain", "group", "class"), 0)
    magnitudes = tf.constant([1.0, 3, 3, *[1] * 8], tf.float64)
    # |1 - 6| + mean of |3 - 2| twice + mean of |1 - 1| four times.
    np.testing.assert_allclose(synchronization.synchronization_loss(magnitudes, hierarchy), 5 + 1 + 0)


def test_discriminators_that_are_all_alike_are_in_step():
    features, weights, domains = map(tf.constant, _setting())
    bank = _bank(6)
    for variable in bank.trainable_variables:
        variable.assign(tf.repeat(tf.convert_to_tensor(variable)[:1], 6, axis=0))
    magnitudes = _magnitudes(bank, features, weights, domains)
    assert magnitudes[0] > 0.01
    loss = synchronization.synchronization_loss(magnitudes, hierarchy_lib.hierarchy_from_groups(3, GROUPS))
    assert abs(float(loss)) < rounding.STEP


@pytest.mark.parametrize("what", ["features", "kernel_0", "kernel_1", "kernel_2", "bias_0", "bias_1", "bias_2"])
def test_gradients_against_finite_differences(what):
    features, weights, domains = map(tf.constant, _setting(seed=4))
    features, bank = tf.Variable(features), _bank(6, seed=5)
    hierarchy = hierarchy_lib.hierarchy_from_groups(3, GROUPS)
    layer = int(what[-1]) if what != "features" else 0
    variable = {"features": features, f"kernel_{layer}": bank.kernels[layer], f"bias_{layer}": bank.biases[layer]}[what]

    def loss():
        magnitudes = _magnitudes(bank, tf.convert_to_tensor(features), weights, domains)
        return synchronization.synchronization_loss(magnitudes, hierarchy)

    with tf.GradientTape() as tape:
        result = loss()
    gradient = tape.gradient(result, tf_variable(variable))
    start = np.asarray(variable)
    gradient = np.zeros(start.shape) if gradient is None else gradient.numpy()
    rng = np.random.default_rng(0)
    for _ in range(12):
        direction, values = rng.normal(size=start.shape), []
        for sign in (1, -1):
            variable.assign(start + sign * 1e-7 * direction)
            values.append(float(loss()))
        # Off by u / 1e-7, 1e-9 of a loss of about 1.
        expected = (values[0] - values[1]) / 2e-7
        assert (gradient * direction).sum() == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_a_saturated_discriminator_gives_no_gradient_and_no_nan():
    features, weights, domains = map(tf.constant, _setting())
    bank = _bank(6)
    bank.biases[-1].assign(np.where(np.arange(6)[:, None, None] % 2 == 0, 200.0, -200.0))
    with tf.GradientTape() as tape:
        tape.watch(features)
        magnitudes = _magnitudes(bank, features, weights, domains)
        loss = synchronization.synchronization_loss(magnitudes, hierarchy_lib.hierarchy_from_groups(3, GROUPS))
    gradients = tape.gradient(loss, [features, *bank.trainable_variables])
    assert np.isfinite(loss)
    assert all(np.isfinite(g).all() for g in gradients if g is not None)


def test_safe_norm_is_the_norm_and_zero_at_zero():
    x = tf.constant([[3.0, 4.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        norm = double("losses").safe_norm(x)
    np.testing.assert_allclose(norm, [5, 0])
    np.testing.assert_allclose(tape.gradient(norm, x), [[0.6, 0.8], [0, 0]], rtol=1e-6)
