"""SAN against its authors' numbers, and how it does not hear critics of classes that the target lacks."""

import numpy as np
import pytest
import tensorflow as tf

from tests.methods import peers

pytestmark = pytest.mark.usefixtures("in_double")


def san(strength=0.7, **options):
    method = peers.method("san", "SAN", adversarial_weight=strength, adversarial_ramp=0.0, **options)
    peers.set_critic(method.critic, "K1", "k1", "K2", "k2")
    return method


def loss(method):
    return lambda f_s, f_t, z_s, z_t: method.discrimination(peers.batch(f_s, f_t, z_s, z_t))


def features_of(method, z_t):
    """Gradient to the features [16, 16]."""
    f_s, f_t, z_s = peers.given("f_s", "f_t", "z_s")
    _, found = peers.gradients(lambda s, t: method.discrimination(peers.batch(s, t, z_s, z_t)), f_s, f_t)
    return np.concatenate(found)


def test_the_loss_against_the_authors():
    b = peers.batch()
    np.testing.assert_allclose(san().discrimination(b), peers.NUMBERS["san/author_lambda1/loss"], rtol=1e-9)
    _, found = peers.gradients(loss(san()), *peers.given("f_s", "f_t", "z_s", "z_t"))
    assert not found[2].any() and not found[3].any()  # as theirs


def test_with_the_same_weight_for_all_classes_the_gradient_is_the_authors():
    """Their numbers have no reversal. Predictions of the target that are the same for all classes on average, but not
    for each sample, weigh each class by 1."""
    z_t = np.stack([np.roll(np.arange(5.0), k) for k in range(5)])
    f_s, f_t, z_s = peers.given("f_s", "f_t", "z_s")
    mada = peers.method("mada", "MADA", adversarial_weight=0.7, adversarial_ramp=0.0, critic_weight=1.0)
    peers.set_critic(mada.critic, "K1", "k1", "K2", "k2")
    found = [
        peers.gradients(lambda s, t, m=m: m.discrimination(peers.batch(s, t, z_s, z_t)), f_s, f_t[:5])
        for m in (san(), mada)
    ]
    for ours, theirs in zip(found[0][1], found[1][1]):
        peers.agree(ours, theirs)


def test_a_critic_is_heard_by_the_share_of_its_class():
    """Critic by critic, the others put to sleep: the gradient is what MADA's would be, times gamma_c / max gamma."""
    z_t = peers.given("z_t")[0]
    gamma = peers.softmax(z_t).mean(axis=0)
    total = np.zeros([16, 16])
    for c in range(5):
        mada = peers.method("mada", "MADA", adversarial_weight=0.7, adversarial_ramp=0.0, critic_weight=1.0)
        peers.set_critic(mada.critic, "K1", "k1", "K2", "k2")
        kernel = mada.critic.kernels[0]
        kernel.assign(np.where(np.arange(5)[:, None, None] == c, np.asarray(kernel), 0.0))
        total += gamma[c] / gamma.max() * features_of(mada, z_t)
    peers.agree(features_of(san(), z_t), total)


def test_a_class_that_the_target_lacks_does_not_move_the_features():
    """Its critic still learns: it sees source samples that are predicted to be of it."""
    z_t = np.asarray(peers.given("z_t")[0]).copy()
    z_t[:, 1] = -1e4
    method = san()
    before = features_of(method, tf.constant(z_t))
    with tf.GradientTape() as tape:
        value = method.discrimination(peers.batch(z_t=tf.constant(z_t)))
    of_critics = np.asarray(tape.gradient(value, method.critic.trainable_variables)[0])
    assert np.abs(of_critics[1]).max() > 1e-4
    kernel = method.critic.kernels[0]
    kernel.assign(np.where(np.arange(5)[:, None, None] == 1, 0.0, np.asarray(kernel)))
    np.testing.assert_array_equal(features_of(method, tf.constant(z_t)), before)


def test_the_entropy_is_of_both_domains():
    values = [san(entropy_weight=w) for w in (0.2, 0.0)]
    b = peers.batch(z_t=peers.given("z_t")[0][:3], f_t=peers.given("f_t")[0][:3])
    p = [peers.softmax(z) for z in (b.source_logits, b.target_logits)]
    expected = 0.5 * sum(-(q * np.log(q)).sum(1).mean() for q in p)
    np.testing.assert_allclose(values[0].loss(b) - values[1].loss(b), 0.2 * expected, rtol=1e-9)
