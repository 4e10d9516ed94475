"""MCD against its peers' numbers, in its limits, and whom each part of its step moves."""

import types

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.methods import mcd
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def method(first, second, **options):
    """Whose heads say these logits; of fewer samples: the last ones."""
    made = peers.method("mcd", "MCD", **{"mcd_head_units": (), **options})
    made.classifier = types.SimpleNamespace(each=lambda f: [z[len(z) - len(f) :] for z in (first, second)])
    return made


def discrepancy(z_t, z2_t):
    return tf.reduce_mean(double("methods.mcd").discrepancy(z_t, z2_t))


def test_the_discrepancy_against_peers():
    peers.compare("mcd/tllib", discrepancy)
    z_s, z2_s = peers.given("z_s", "z2_s")

    def loss(z_t, z2_t):
        both = [tf.concat(x, 0) for x in ((z_s, z_t), (z2_s, z2_t))]
        return method(*both, mcd_weight=10.0).extractor_loss(peers.batch())

    peers.compare("mcd/tllib", loss, value=10.0)


def test_the_balance_against_the_peer():
    z_s = peers.given("z_s")[0]

    def loss(z_t):
        both = tf.concat([z_s, z_t], 0)  # of both heads: twice what theirs is of one
        with_balance, without = (method(both, both, mcd_balance=w).loss(peers.batch()) for w in (0.5, 0.0))
        return with_balance - without

    peers.compare("mcd/tllib_balance", loss)


def test_both_heads_learn_the_source():
    logits = [np.asarray(peers.both(name)) for name in ("z", "z2")]
    expected = sum(-np.log(peers.softmax(z[:8])[np.arange(8), peers.LABELS]).mean() for z in logits)
    made = method(*(tf.constant(z) for z in logits), mcd_balance=0.0)
    np.testing.assert_allclose(made.loss(peers.batch()), expected, rtol=1e-12)


def test_limits_of_the_discrepancy():
    z_t, z2_t = peers.given("z_t", "z2_t")
    value, found = peers.gradients(discrepancy, z_t, z_t)
    assert value == 0 and not any(g.any() for g in found)
    opposite = discrepancy(*(tf.constant(1e4 * np.eye(5)[[c] * 8]) for c in (0, 1)))
    np.testing.assert_allclose(opposite, 2 / 5, rtol=1e-12)
    assert discrepancy(z_t, z2_t) < 2 / 5
    np.testing.assert_allclose(discrepancy(z2_t, z_t), discrepancy(z_t, z2_t), rtol=1e-12)
    np.testing.assert_allclose(discrepancy(z_t + 3.0, z2_t), discrepancy(z_t, z2_t), rtol=1e-12)
    _, found = peers.gradients(discrepancy, z_t, z2_t)
    for gradient in found:
        np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-15)


def test_a_class_that_is_never_predicted_keeps_the_balance_finite():
    logits = tf.constant(1e4 * np.eye(5)[[0] * 16])
    value, (gradient,) = peers.gradients(lambda z: method(z, z, mcd_balance=1.0).loss(peers.batch()), logits)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("rounds", [1, 4])
def test_whom_a_step_moves(rounds):
    """A: extractor and heads; B: heads alone; C: the extractor alone. Each after a forward pass of its own."""
    moved, passes = [], []

    def descend(loss, batch, *names):
        moved.append((loss.__name__, batch, names))

    made = peers.method("mcd", "MCD", mcd_head_units=(), mcd_rounds=rounds)
    made.step(types.SimpleNamespace(descend=descend, forward=lambda: passes.append(1) or len(passes)))
    expected = [("loss", ("extractor", "classifier")), ("heads_loss", ("classifier",))]
    expected += [("extractor_loss", ("extractor",))] * rounds
    assert moved == [(name, i + 1, names) for i, (name, names) in enumerate(expected)]


def test_the_heads_are_two():
    heads = mcd.TwoHeads(4, 3, (5,))
    one, two = heads.each(tf.ones([2, 4]))
    assert np.abs(one - two).max() > 1e-3  # not copies of each other: they would never disagree
    np.testing.assert_allclose(heads(tf.ones([2, 4])), 0.5 * (one + two), rtol=1e-6)


def test_the_heads_loss_drives_them_apart():
    logits = [peers.both(name) for name in ("z", "z2")]
    made = method(*logits, mcd_weight=10.0)
    expected = made.loss(peers.batch()) - 10 * peers.NUMBERS["mcd/tllib/loss"]
    np.testing.assert_allclose(made.heads_loss(peers.batch()), expected, rtol=1e-9)
