"""PADA against its peers' numbers and in its limits."""

import numpy as np
import pytest

from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def pada(strength=0.7, **options):
    method = peers.method("pada", "PADA", adversarial_weight=strength, adversarial_ramp=0.0, **options)
    peers.set_critic(method.critic, "W1", "b1", "W2", "b2")
    return method


def test_class_weights_against_peers():
    class_weights, logits = double("methods.pada").class_weights, peers.NUMBERS["inputs/target_set_logits"]
    for temperature in ("1", "0.1"):
        expected = peers.NUMBERS[f"pada/class_weight_tllib_T{temperature}"]
        peers.agree(class_weights(logits, float(temperature)), expected)
    # The authors divide by the mean for the cross-entropy, which is divided by the weights' sum again.
    author = peers.NUMBERS["pada/class_weight_author"]
    peers.agree(class_weights(logits, 1.0), author / author.max())


def test_class_weights_in_the_limits():
    class_weights = double("methods.pada").class_weights
    assert class_weights(peers.NUMBERS["inputs/target_set_logits"], 0.3).max() == 1
    np.testing.assert_array_equal(class_weights(np.zeros([7, 4]), 1.0), np.ones(4))
    np.testing.assert_array_equal(class_weights(1e5 * np.eye(3)[[0, 0, 2, 0]], 0.1), [1, 0, 1 / 3])


def test_the_adversarial_loss_against_the_authors():
    method = pada()
    method.observe(peers.NUMBERS["inputs/target_set_logits"])
    loss = lambda f_s, f_t: method.discrimination(peers.batch(f_s, f_t))  # noqa: E731
    peers.compare("pada/author_adversarial", loss, f=-0.7)


def test_the_weighted_cross_entropy_against_peers():
    """TLlib's is with T = 0.1. Divided by the sum of the weights, so that their scale does not matter."""
    method = pada(pada_temperature=0.1)
    method.observe(peers.NUMBERS["inputs/target_set_logits"])
    peers.compare("pada/tllib_weighted_ce", lambda z_s: method.classification(peers.batch(z_s=z_s)))


def test_until_the_target_was_asked_and_where_it_has_all_classes_it_is_dann():
    dann = peers.method("dann", "DANN", adversarial_weight=0.7, adversarial_ramp=0.0)
    peers.set_critic(dann.critic, "W1", "b1", "W2", "b2")
    method, features = pada(), peers.given("f_s", "f_t")
    for logits in (None, np.zeros([9, 5])):
        if logits is not None:
            method.observe(logits)
        one, two = (peers.gradients(lambda s, t, m=m: m.loss(peers.batch(s, t)), *features) for m in (method, dann))
        np.testing.assert_allclose(one[0], two[0], rtol=1e-12)
        for ours, theirs in zip(one[1], two[1]):
            peers.agree(ours, theirs)


def test_a_class_that_the_target_lacks_has_no_part():
    method, (f_s, f_t, z_s) = pada(), peers.given("f_s", "f_t", "z_s")
    method.observe(1e4 * np.eye(5)[[1, 2, 3, 4]])  # no sample of class 0
    _, found = peers.gradients(lambda s, z: method.loss(peers.batch(s, f_t, z)), f_s, z_s)
    absent = peers.LABELS == 0
    for gradient in found:
        assert not gradient[absent].any() and gradient[~absent].any()


def test_a_batch_of_absent_classes_alone_is_no_nan():
    method = pada()
    method.observe(1e4 * np.eye(5)[[1, 2, 3, 4]])
    f_s, f_t, z_s = peers.given("f_s", "f_t", "z_s")
    value, found = peers.gradients(lambda s, z: method.loss(peers.batch(s, f_t, z, labels=[0] * 8)), f_s, z_s)
    assert np.isfinite(value) and not any(g.any() for g in found)
