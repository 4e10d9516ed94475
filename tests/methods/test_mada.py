"""MADA against its peers' numbers and in its limits."""

import numpy as np
import pytest
import tensorflow as tf

from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def mada(strength=0.7, **options):
    options = {"critic_weight": 0.3, **options}
    method = peers.method("mada", "MADA", adversarial_weight=strength, adversarial_ramp=0.0, **options)
    peers.set_critic(method.critic, "K1", "k1", "K2", "k2")
    return method


def test_against_peers():
    """The graph of SAN's authors without its reversal, times 0.3: MADA's own code is of Caffe."""
    method = mada()
    loss = lambda f_s, f_t, z_s, z_t: method.discrimination(peers.batch(f_s, f_t, z_s, z_t))  # noqa: E731
    peers.compare("mada/via_san_x0.3", loss, f=-0.7)


def test_each_critics_loss_against_peers():
    method, b = mada(), peers.batch()
    logits = method.critic(method.reversed(b, tf.nn.softmax(b.logits)))
    losses = double("losses").discrimination_entropy(logits, b.domains)
    peers.agree(tf.reduce_mean(losses, axis=1), peers.NUMBERS["mada/per_class_loss"])


def test_the_predictions_scale_what_a_critic_sees():
    scaled_features = double("methods.mada").scaled_features
    features, p = np.asarray(peers.both("f")), peers.softmax(peers.both("z"))
    seen = scaled_features(tf.constant(features), tf.constant(p)).numpy()
    for c in range(5):
        peers.agree(seen[c], p[:, c : c + 1] * features)
    _, (_, of_p) = peers.gradients(lambda f, q: tf.reduce_sum(scaled_features(f, q)), features, p)
    assert not of_p.any()


def test_critics_that_know_nothing():
    method = mada()
    for variable in method.critic.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    np.testing.assert_allclose(method.discrimination(peers.batch()), 0.3 * 5 * np.log(2), rtol=1e-12)


def test_a_critic_hears_only_of_its_class():
    method, sure = mada(), tf.constant(1e4 * np.eye(5)[[2] * 8])
    b = peers.batch(z_s=sure, z_t=sure)
    seen = np.asarray(method.reversed(b, tf.nn.softmax(b.logits)))
    assert seen[2].any() and not seen[[0, 1, 3, 4]].any()
    loss = lambda s, t: method.discrimination(peers.batch(s, t, sure, sure))  # noqa: E731
    _, found = peers.gradients(loss, *peers.given("f_s", "f_t"))
    kernel = method.critic.kernels[0]
    kernel.assign(np.where(np.arange(5)[:, None, None] == 2, np.asarray(kernel), 0.0))
    _, alone = peers.gradients(loss, *peers.given("f_s", "f_t"))
    for one, other in zip(found, alone):
        peers.agree(one, other)
