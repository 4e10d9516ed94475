"""SymNets against its authors' numbers, in its limits, and whom each loss moves."""

import types

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.methods import symnets
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def method(z2C_s, z2C_t, **options):
    """Whose 2r outputs are these."""
    made = peers.method("symnets", "SymNets", **options)
    made.classifier = types.SimpleNamespace(both=lambda features: tf.concat([z2C_s, z2C_t], 0))
    return made


@pytest.mark.parametrize("domain", ["s", "t"])
def test_pieces_against_the_authors(domain):
    module, name = double("methods.symnets"), f"z2C_{domain}"
    for i, half in enumerate(("source", "target")):
        compare(f"symnets/author_domain_{half}_half_{name}", name, lambda z, i=i: module.domain_log_probabilities(z)[i])
    compare(f"symnets/author_entropy_{name}", name, module.class_entropy)


def compare(key, name, values):
    value, (gradient,) = peers.gradients(lambda z: tf.reduce_mean(values(z)), *peers.given(name))
    peers.agree(value, peers.NUMBERS[f"{key}/loss"])
    peers.agree(gradient, peers.NUMBERS[f"{key}/grad_{name}"])


def test_the_classifiers_loss_against_the_authors():
    peers.compare("symnets/author_classifier_total", lambda z2C_s, z2C_t: method(z2C_s, z2C_t).loss(peers.batch()))


def test_the_extractors_loss_against_the_authors():
    """pytorch-adapt has another category loss: of probabilities, as if they were logits."""
    options = {"confusion_weight": 0.6, "confusion_ramp": 0.0}
    peers.compare(
        "symnets/author_extractor_total_lambda0.6",
        lambda z2C_s, z2C_t: method(z2C_s, z2C_t, **options).extractor_loss(peers.batch()),
    )


def test_the_weight_of_confusion_rises():
    logits = peers.given("z2C_s", "z2C_t")
    at = [method(*logits, confusion_weight=0.6).extractor_loss(peers.batch(progress=p)) for p in (0.0, 0.1)]
    full = peers.NUMBERS["symnets/author_extractor_total_lambda0.6/loss"]
    np.testing.assert_allclose(at[1], at[0] + np.tanh(0.5) * (full - at[0]), rtol=1e-9)


def test_two_halves_that_are_the_same():
    half = peers.both("z")
    logits = tf.concat([half, half], 1)
    module = double("methods.symnets")
    for values in module.domain_log_probabilities(logits):
        np.testing.assert_allclose(values, np.log(2), rtol=1e-12)
    p = peers.softmax(half)
    np.testing.assert_allclose(module.class_entropy(logits), -(p * np.log(p)).sum(1), rtol=1e-12)
    cross_entropy = -np.log(p[:8][np.arange(8), peers.LABELS]).mean()
    without = method(logits[:8], logits[8:], confusion_weight=0.0).extractor_loss(peers.batch())
    np.testing.assert_allclose(without, cross_entropy + np.log(2), rtol=1e-12)


def test_a_constant_does_not_matter():
    logits = [z + 3.7 for z in peers.given("z2C_s", "z2C_t")]
    value = peers.NUMBERS["symnets/author_classifier_total/loss"]
    np.testing.assert_allclose(method(*logits).loss(peers.batch()), value, rtol=1e-9)


@pytest.mark.parametrize("logits", [[[1e4, 0, 0, 0, 0, 0]], [[1e4, 0, 0, 1e4, 0, 0]], [[0, 0, 0, 0, 0, 0]]])
def test_sure_outputs_are_finite(logits):
    logits = tf.constant(logits, tf.float32)
    for loss in (symnets.class_entropy, lambda z: sum(symnets.domain_log_probabilities(z))):
        value, (gradient,) = peers.gradients(lambda z, f=loss: tf.reduce_sum(f(z)), logits)
        assert np.isfinite(value) and np.isfinite(gradient).all()


def test_the_entropy_moves_the_extractor_alone():
    """And both gradients are taken in one forward pass, at the weights before the update."""
    moved = []
    made = peers.method("symnets", "SymNets")
    made.step(types.SimpleNamespace(
        forward=lambda: "b", descend=lambda loss, b, *names: moved.append((loss.__name__, b, names))
    ))  # fmt: skip
    assert sorted(moved) == [("extractor_loss", "b", ("extractor",)), ("loss", "b", ("classifier",))]


def test_the_targets_half_is_deployed():
    classifier = symnets.SymmetricClassifier(4, 3)
    features = tf.random.stateless_normal([2, 4], [0, 0])
    np.testing.assert_array_equal(classifier(features), classifier.both(features)[:, 3:])
