"""CDAN and CDAN+E against their peers' numbers and in their limits."""

import numpy as np
import pytest
import tensorflow as tf

from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")

ALL = ("f_s", "f_t", "z_s", "z_t")


def cdan(strength=0.7, **options):
    method = peers.method("cdan", "CDAN", adversarial_weight=strength, adversarial_ramp=0.0, **options)
    if not options.get("cdan_random"):
        peers.set_critic(method.critic, "V1", "c1", "V2", "c2")
    return method


def entropy(logits):
    return double("losses").conditional_entropy(logits)


def with_floor(logits):
    """The entropy of CDAN's authors, -sum p log(p + 1e-5). Ours is exact."""
    p = tf.nn.softmax(logits)
    return -tf.reduce_sum(p * tf.math.log(p + 1e-5), axis=1)


def test_against_peers():
    """No gradient at all goes into the predictions."""
    method = cdan()
    peers.compare(
        "cdan/tllib", lambda f_s, f_t, z_s, z_t: method.discrimination(peers.batch(f_s, f_t, z_s, z_t)), f=-0.7
    )


@pytest.mark.parametrize("coefficient", ["0.0", "0.7"])
def test_with_entropy_against_the_authors(coefficient, monkeypatch):
    """With their form of the entropy in place of ours. Gradient flows into the predictions by the weight, reversed
    with the strength of the moment (theirs is so already, the features' is not)."""
    monkeypatch.setattr(double("methods.cdan"), "conditional_entropy", with_floor)
    strength = float(coefficient)
    method = cdan(strength, entropy_conditioning=True)
    peers.compare(
        f"cdan/author_E_coeff{coefficient}",
        lambda f_s, f_t, z_s, z_t: method.discrimination(peers.batch(f_s, f_t, z_s, z_t)), f=-strength, z=1.0,
    )  # fmt: skip


def test_the_exact_entropy_is_the_authors_but_for_their_floor():
    method = cdan(entropy_conditioning=True)
    key = "cdan/author_E_coeff0.7"
    value, found = peers.gradients(lambda *x: method.discrimination(peers.batch(*x)), *peers.given(*ALL))
    floor = 5e-5  # p log(p + 1e-5) is off by 1e-5 for each of five classes
    peers.agree(value, peers.NUMBERS[f"{key}/loss"], floor)
    for name, gradient in zip(ALL, found):
        peers.agree(gradient, (-0.7 if name[0] == "f" else 1.0) * peers.NUMBERS[f"{key}/grad_{name}"], 10 * floor)


def test_weights_against_the_authors():
    entropies = tf.constant(peers.NUMBERS["cdan/entropy_author"])
    weights = double("methods.cdan").entropy_weights(peers.batch(), entropies)
    peers.agree(weights, peers.NUMBERS["cdan/weights_author_normalised"])
    peers.agree(with_floor(peers.both("z")), entropies)


def test_weights_sum_to_one_in_each_domain():
    logits = 5 * np.random.default_rng(0).normal(size=(11, 3))
    b = peers.batch(*(np.zeros([n, 2]) for n in (4, 7)), logits[:4], logits[4:], labels=[0] * 4)
    weights = double("methods.cdan").entropy_weights(b, entropy(tf.constant(logits))).numpy()
    np.testing.assert_allclose([weights[:4].sum(), weights[4:].sum()], 1, rtol=1e-12)
    p = peers.softmax(logits[:4])
    raw = 1 + np.exp((p * np.log(p)).sum(1))
    np.testing.assert_allclose(weights[:4], raw / raw.sum(), rtol=1e-12)


def test_uniform_predictions_weigh_all_the_same():
    zeros = tf.zeros([8, 5], tf.float64)
    plain, with_entropy = cdan(), cdan(entropy_conditioning=True)
    values = [m.discrimination(peers.batch(z_s=zeros, z_t=zeros)) for m in (plain, with_entropy)]
    np.testing.assert_allclose(values[1], values[0], rtol=1e-12)


def test_the_map():
    multilinear_map = double("methods.cdan").multilinear_map
    rng = np.random.default_rng(0)
    features, p = rng.normal(size=(3, 4)), peers.softmax(rng.normal(size=(3, 2)))
    h = multilinear_map(tf.constant(features), tf.constant(p)).numpy()
    for i in range(3):
        for c in range(2):
            for j in range(4):
                assert h[i, c * 4 + j] == pytest.approx(p[i, c] * features[i, j], rel=1e-12)
    lengths = (p**2).sum(1) * (features**2).sum(1)
    np.testing.assert_allclose((h**2).sum(1), lengths, rtol=1e-12)
    sure = multilinear_map(tf.constant(features), tf.constant(np.eye(2)[[0, 1, 1]])).numpy()
    np.testing.assert_array_equal(sure[1], np.concatenate([np.zeros(4), features[1]]))
    uniform = multilinear_map(tf.constant(features), tf.fill([3, 2], tf.constant(0.5, tf.float64))).numpy()
    np.testing.assert_array_equal(uniform, 0.5 * np.tile(features, 2))
    np.testing.assert_array_equal(multilinear_map(tf.constant(features), tf.ones([3, 1], tf.float64)), features)


def test_with_one_class_it_is_dann():
    one = tf.zeros([8, 1], tf.float64)
    methods = [peers.method(*names, classes=1) for names in (("cdan", "CDAN"), ("dann", "DANN"))]
    for method in methods:
        peers.set_critic(method.critic, "W1", "b1", "W2", "b2")
    values = [m.discrimination(peers.batch(z_s=one, z_t=one, labels=[0] * 8)) for m in methods]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)


def test_the_randomized_map():
    """Of the fixed projections of features and predictions; inner products are those of the whole map on average."""
    method = peers.method("cdan", "CDAN", cdan_random=20_000, units=())
    assert method.critic.units[0] == 20_000
    b = peers.batch()
    features, p = np.asarray(b.features), peers.softmax(b.logits)
    seen = np.asarray(method.seen(b))
    left, right = (np.asarray(method.kept[f"random_{name}"]) for name in ("features", "classes"))
    peers.agree(seen, (features @ left) * (p @ right) / np.sqrt(20_000))
    expected = (features @ features.T) * (p @ p.T)
    # The mean of so many products of four Gaussians: their variance is at most 9 (|f| |p| |f'| |p'|)^2.
    error = np.abs(seen @ seen.T - expected) / np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert error.max() < 6 * 3 / np.sqrt(20_000)
    _, found = peers.gradients(lambda *x: tf.reduce_sum(method.seen(peers.batch(*x)) ** 2), *peers.given(*ALL))
    assert found[0].any() and not found[2].any() and not found[3].any()
