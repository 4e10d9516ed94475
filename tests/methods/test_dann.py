"""DANN against its peers' numbers and in its limits."""

import numpy as np
import pytest
import tensorflow as tf

from tests.methods import peers

pytestmark = pytest.mark.usefixtures("in_double")


def dann(weight=0.7, **options):
    method = peers.method("dann", "DANN", adversarial_weight=weight, adversarial_ramp=0.0, **options)
    peers.set_critic(method.critic, "W1", "b1", "W2", "b2")
    return method


@pytest.mark.parametrize("strength", [0.7, 1.0])
def test_against_peers(strength):
    """Theirs is what the critic sees: ours goes back with the opposite sign, and the strength."""
    method = dann(strength)
    peers.compare("dann/tllib", lambda f_s, f_t: method.discrimination(peers.batch(f_s, f_t)), f=-strength)


def test_the_reversal_rises_with_progress():
    method = peers.method("dann", "DANN", adversarial_weight=0.7, adversarial_ramp=10.0)
    peers.set_critic(method.critic, "W1", "b1", "W2", "b2")
    strength = 0.7 * np.tanh(5 * 0.1)
    loss = lambda f_s, f_t: method.discrimination(peers.batch(f_s, f_t, progress=0.1))  # noqa: E731
    peers.compare("dann/tllib", loss, f=-strength)


def test_the_critic_learns_at_full_strength():
    """Its gradient is that of plain cross-entropy, whatever the reversal; with none the features stay."""
    found = []
    for weight in (0.0, 0.7):
        method = dann(weight)
        with tf.GradientTape() as tape:
            f_s, f_t = peers.given("f_s", "f_t")
            tape.watch((f_s, f_t))
            loss = method.discrimination(peers.batch(f_s, f_t))
        kernel = method.critic.kernels[0]
        *features, of_critic = tape.gradient(loss, [f_s, f_t, *method.critic.trainable_variables[:1]])
        assert (max(np.abs(g).max() for g in features) == 0) == (weight == 0)
        found.append(np.asarray(of_critic))
    np.testing.assert_array_equal(found[0], found[1])

    def shifted(values):
        kernel.assign(tf.reshape(values, kernel.shape))
        return method.discrimination(peers.batch())

    start, direction = np.asarray(kernel), np.random.default_rng(0).normal(size=kernel.shape)
    slope = (shifted(start + 1e-5 * direction) - shifted(start - 1e-5 * direction)) / 2e-5
    np.testing.assert_allclose(np.sum(found[0] * direction), slope, rtol=1e-6)


def test_a_critic_that_knows_nothing():
    method = dann()
    for variable in method.critic.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    value, found = peers.gradients(lambda s, t: method.discrimination(peers.batch(s, t)), *peers.given("f_s", "f_t"))
    np.testing.assert_allclose(value, np.log(2), rtol=1e-12)
    assert not any(g.any() for g in found)


def test_domains_count_half_each_whatever_their_size():
    method, (f_s, f_t) = dann(), peers.given("f_s", "f_t")
    p = peers.NUMBERS["dann/critic_probability"][:, 0]
    for source, target in ((8, 3), (2, 8)):
        expected = -0.5 * (np.log(p[:source]).mean() + np.log(1 - p[8 : 8 + target]).mean())
        b = peers.batch(f_s[:source], f_t[:target], labels=peers.LABELS[:source])
        np.testing.assert_allclose(method.discrimination(b), expected, rtol=1e-9)


def test_swapped_domains_and_a_negated_critic_are_the_same():
    method, (f_s, f_t) = dann(), peers.given("f_s", "f_t")
    value = method.discrimination(peers.batch(f_s, f_t))
    for variable in (method.critic.kernels[-1], method.critic.biases[-1]):
        variable.assign(-np.asarray(variable))
    np.testing.assert_allclose(method.discrimination(peers.batch(f_t, f_s)), value, rtol=1e-12)
