"""AFN against its peers' numbers and in its limits."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.losses import safe_norm
from gsda_tf.methods import afn
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def stepwise(features, step=1.0):
    return tf.reduce_mean(double("methods.afn").stepwise(features, step))


def hard(features, radius=25.0):
    norms = double("losses").safe_norm(features)
    return double("methods.afn").hard(tf.reduce_mean(norms), radius)


def test_against_peers():
    peers.compare("afn/tllib_step1", lambda f_s: stepwise(f_s))
    peers.compare("afn/tllib_step0.3", lambda f_s: stepwise(f_s, 0.3))
    # The authors' losses have the weight in them.
    peers.compare("afn/author_stepwise_w0.05", lambda f_s: 0.05 * stepwise(f_s))
    peers.compare("afn/author_hard_R25_w0.05_f_s", lambda f_s: 0.05 * hard(f_s))
    peers.compare("afn/author_hard_R25_w0.05_f_t", lambda f_t: 0.05 * hard(f_t))


@pytest.mark.parametrize("form", ["stepwise", "hard"])
def test_the_term_adds_both_domains(form):
    module = double("methods.afn")
    term = module.AFNTerm(module.AFNTerm.Options(afn_form=form, afn_weight=0.05))
    f_s, f_t = peers.given("f_s", "f_t")
    value, found = peers.gradients(lambda s, t: term.loss(peers.batch(s, t)), f_s, f_t[:5])
    one = stepwise if form == "stepwise" else hard
    alone = [peers.gradients(one, f_s), peers.gradients(one, f_t[:5])]
    np.testing.assert_allclose(value, 0.05 * (alone[0][0] + alone[1][0]), rtol=1e-12)
    for ours, (_, (theirs,)) in zip(found, alone):
        peers.agree(ours, 0.05 * theirs)


def test_stepwise_is_the_step_squared_whatever_the_features():
    for scale in (1e-3, 1.0, 1e3):
        np.testing.assert_allclose(stepwise(scale * peers.both("f"), 0.3), 0.09, rtol=1e-12)


def test_the_gradient_goes_along_the_features():
    features = peers.both("f")
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    _, (gradient,) = peers.gradients(lambda f: stepwise(f, 0.3), features)
    peers.agree(gradient, -2 * 0.3 / 16 * features / norms)
    _, (gradient,) = peers.gradients(hard, features)
    peers.agree(gradient, 2 * (norms.mean() - 25) / 16 * features / norms)


def test_hard_is_zero_where_the_mean_norm_is_the_radius():
    features = peers.both("f")
    radius = np.linalg.norm(features, axis=1).mean()
    value, (gradient,) = peers.gradients(lambda f: hard(f, radius), features)
    assert value < 1e-25 and np.abs(gradient).max() < 1e-12


def test_a_rotation_does_not_matter():
    features, turn = peers.both("f"), peers.rotation(peers.D)
    np.testing.assert_allclose(hard(features @ turn), hard(features), rtol=1e-12)


@pytest.mark.parametrize("form", [lambda f: tf.reduce_mean(afn.stepwise(f, 1.0)),
                                  lambda f: afn.hard(tf.reduce_mean(safe_norm(f)), 25.0)])  # fmt: skip
def test_features_of_all_zeros_have_no_slope(form):
    features = tf.constant([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]])
    value, (gradient,) = peers.gradients(form, features)
    assert np.isfinite(value) and np.array_equal(gradient[0], np.zeros(3))
    assert np.isfinite(gradient).all() and np.abs(gradient[1]).max() > 0
