"""MCC against its peers' numbers and in its limits."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.methods import mcc
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def confusion(logits, temperature=1.0):
    return double("methods.mcc").class_confusion(tf.constant(logits, tf.float64), temperature)


@pytest.mark.parametrize("temperature", ["1", "2.5", "3"])
def test_against_peers(temperature):
    loss = double("methods.mcc").class_confusion
    peers.compare(f"mcc/tllib_T{temperature}", lambda z_t: loss(z_t, float(temperature)))


def test_the_term_is_the_weighted_confusion_of_the_target():
    module = double("methods.mcc")
    term = module.MCCTerm(module.MCCTerm.Options(mcc_weight=0.3))
    peers.compare("mcc/tllib_T2.5", lambda z_t: term.loss(peers.batch(z_t=z_t)), value=0.3)


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_uniform_predictions(classes):
    np.testing.assert_allclose(confusion(np.zeros([4, classes])), 1 - 1 / classes, atol=1e-12)


def test_an_endless_temperature_makes_predictions_uniform():
    np.testing.assert_allclose(confusion(peers.NUMBERS["inputs/z_t"], 1e9), 1 - 1 / 5, atol=1e-8)


def test_sure_predictions_of_all_classes_are_not_confused():
    assert abs(confusion(100.0 * np.eye(4)[[0, 1, 2, 3, 3, 1]])) < 1e-12


def test_order_of_samples_and_of_classes_and_a_constant_do_not_matter():
    logits, rng = peers.NUMBERS["inputs/z_t"], np.random.default_rng(0)
    value = confusion(logits, 2.5)
    for same in (
        logits[rng.permutation(8)], logits[:, rng.permutation(5)], logits + rng.normal(size=(8, 1))
    ):  # fmt: skip
        np.testing.assert_allclose(confusion(same, 2.5), value, rtol=1e-12)


def test_the_gradient_sums_to_zero_over_classes():
    loss = double("methods.mcc").class_confusion
    _, (gradient,) = peers.gradients(lambda z: loss(z, 2.5), peers.NUMBERS["inputs/z_t"])
    assert np.abs(gradient).max() > 1e-4
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-15)


def test_classes_that_nothing_is_predicted_to_be_are_no_nan():
    logits = tf.constant(1000.0 * np.eye(6)[[0, 0, 1]], tf.float32)
    value, (gradient,) = peers.gradients(lambda z: mcc.class_confusion(z, 0.01), logits)
    assert np.isfinite(value) and np.isfinite(gradient).all()
