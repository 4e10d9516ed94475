import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.losses.domain import discrimination_entropy
from gsda_tf.losses.norms import safe_norm
from gsda_tf.methods.gsda import synchronization
from gsda_tf.methods.gsda.hierarchy import build_hierarchy, hierarchy_from_groups
from gsda_tf.models.discriminators import DiscriminatorBank
from tests.methods.gsda import reference

GROUPS = [[0, 2], [1]]


def _bank(count, d=4, seed=0):
    bank = DiscriminatorBank(count, (6, 5), d, seed=seed)
    rng = np.random.default_rng(seed)
    for bias in bank.biases:
        bias.assign(rng.normal(size=bias.shape) * 0.3)
    return bank


def _magnitudes(bank, features, weights, domains):
    copies = tf.broadcast_to(features, [bank.num_discriminators, *features.shape])
    with tf.GradientTape() as inner:
        inner.watch(copies)
        entropies = discrimination_entropy(bank(copies), domains)
    norms = safe_norm(inner.gradient(entropies, copies))
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
    magnitudes = _magnitudes(bank, *(tf.constant(a, tf.float32) for a in (features, weights, domains)))
    kernels = [np.asarray(k, np.float64) for k in bank.kernels]
    biases = [np.asarray(b, np.float64) for b in bank.biases]
    _, expected = reference.losses_and_magnitudes(kernels, biases, features, domains, weights)
    np.testing.assert_allclose(magnitudes, expected, rtol=1e-4)
    loss = synchronization.synchronization_loss(magnitudes, hierarchy_from_groups(3, GROUPS))
    np.testing.assert_allclose(loss, reference.synchronization(expected, GROUPS), rtol=1e-3)


def test_by_hand():
    # Domain 5; groups 2 and 1; classes 1, 3 (group 0: classes 0 and 2), 0.5.
    magnitudes = tf.constant([5.0, 2.0, 1.0, 1.0, 0.5, 3.0])
    # (11): |5 - 3| = 2.  (10): |2 - (1 + 3)| = 2 and |1 - 0.5| = 0.5, mean 1.25.
    loss = synchronization.synchronization_loss(magnitudes, hierarchy_from_groups(3, GROUPS))
    np.testing.assert_allclose(loss, 3.25)


def test_two_levels_of_groups_add_a_pair():
    hierarchy = build_hierarchy(4, [2, 4], ("domain", "group", "class"), 0)
    magnitudes = tf.concat([[1.0], [3.0, 3.0], tf.ones([4]), tf.ones([4])], 0)
    # |1 - 6| + mean of |3 - 2| twice + mean of |1 - 1| four times.
    np.testing.assert_allclose(synchronization.synchronization_loss(magnitudes, hierarchy), 5 + 1 + 0)


def test_discriminators_that_are_all_alike_are_in_step():
    features, weights, domains = (tf.constant(a, tf.float32) for a in _setting())
    bank = _bank(6)
    for variable in bank.trainable_variables:
        variable.assign(tf.repeat(tf.convert_to_tensor(variable)[:1], 6, axis=0))
    magnitudes = _magnitudes(bank, features, weights, domains)
    assert magnitudes[0] > 0.01
    loss = synchronization.synchronization_loss(magnitudes, hierarchy_from_groups(3, GROUPS))
    np.testing.assert_allclose(loss, 0, atol=1e-6)


def _float64_loss(kernels, biases, features, weights, domains):
    """L^syn as the package computes it, on float64 weights that are not in a model."""

    def bank(x):
        for i, (kernel, bias) in enumerate(zip(kernels, biases)):
            x = tf.matmul(x, kernel) + bias
            x = tf.nn.relu(x) if i < len(kernels) - 1 else x
        return tf.squeeze(x, -1)

    copies = tf.broadcast_to(features, [weights.shape[0], *features.shape])
    with tf.GradientTape() as inner:
        inner.watch(copies)
        logits = bank(copies)
        labels = tf.broadcast_to(domains, logits.shape)
        entropies = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
    slopes = inner.gradient(entropies, copies)
    magnitudes = tf.reduce_sum(weights * safe_norm(slopes), -1) / features.shape[0]
    return synchronization.synchronization_loss(magnitudes, hierarchy_from_groups(3, GROUPS))


@pytest.mark.parametrize("what", ["features", "kernel_0", "kernel_1", "kernel_2", "bias_0", "bias_1", "bias_2"])
def test_gradients_against_finite_differences(what):
    features, weights, domains = _setting(seed=4)
    bank = _bank(6, seed=5)
    parts = {"features": tf.constant(features, tf.float64)}
    for i in range(3):
        parts[f"kernel_{i}"] = tf.constant(np.asarray(bank.kernels[i], np.float64))
        parts[f"bias_{i}"] = tf.constant(np.asarray(bank.biases[i], np.float64))

    def loss(value):
        now = {**parts, what: value}
        return _float64_loss(
            [now[f"kernel_{i}"] for i in range(3)], [now[f"bias_{i}"] for i in range(3)],
            now["features"], tf.constant(weights), tf.constant(domains),
        )  # fmt: skip

    value = parts[what]
    with tf.GradientTape() as tape:
        tape.watch(value)
        result = loss(value)
    gradient = tape.gradient(result, value)
    gradient = np.zeros(value.shape) if gradient is None else gradient.numpy()
    rng = np.random.default_rng(0)
    for _ in range(12):
        direction = rng.normal(size=value.shape)
        ahead, behind = (float(loss(value + s * 1e-7 * direction)) for s in (1, -1))
        np.testing.assert_allclose((gradient * direction).sum(), (ahead - behind) / 2e-7, rtol=1e-4, atol=1e-6)


def test_a_saturated_discriminator_gives_no_gradient_and_no_nan():
    features, weights, domains = (tf.constant(a, tf.float32) for a in _setting())
    bank = _bank(6)
    bank.biases[-1].assign(tf.where(tf.range(6)[:, None, None] % 2 == 0, 200.0, -200.0))
    with tf.GradientTape() as tape:
        tape.watch(features)
        magnitudes = _magnitudes(bank, features, weights, domains)
        loss = synchronization.synchronization_loss(magnitudes, hierarchy_from_groups(3, GROUPS))
    gradients = tape.gradient(loss, [features, *bank.trainable_variables])
    assert np.isfinite(loss)
    assert all(np.isfinite(g).all() for g in gradients if g is not None)


def test_safe_norm_is_the_norm_and_zero_at_zero():
    x = tf.constant([[3.0, 4.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        norm = safe_norm(x)
    np.testing.assert_allclose(norm, [5, 0])
    np.testing.assert_allclose(tape.gradient(norm, x), [[0.6, 0.8], [0, 0]], rtol=1e-6)
