"""The step against the equations: what moves, by how much, and by what."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.hierarchy import build_hierarchy
from gsda_tf.losses import alignment, classification, synchronization
from gsda_tf.methods import METHODS
from gsda_tf.models.classifier import build_classifier
from gsda_tf.models.discriminators import Discriminators
from gsda_tf.models.extractor import build_extractor
from gsda_tf.settings import Settings
from gsda_tf.training.step import Networks, TrainingStep, build_optimizers

R, NS, NT, D = 4, 5, 6, 8


def _settings(**changes):
    base = {
        "extractor": "small_cnn", "weights": "none", "image_size": 8, "resize_size": 8, "bottleneck_units": D,
        "discriminator_units": (6, 5), "num_groups": (2,), "steps": 10, "adversarial_ramp": 0.0, "beta": 0.7,
        "alpha": 0.1, "backbone_rate": 1.0, "momentum": 0.0, "weight_decay": 0.0, "rate_decay": 0.0,
        "learning_rate": 0.1, "adversarial_weight": 0.5,
    }  # fmt: skip
    return Settings().replace({**base, **changes})


def _build(settings, seed=0, classes=R):
    keras.utils.set_random_seed(seed)
    method = METHODS[settings.method.method]
    hierarchy = None
    if method.levels:
        hierarchy = build_hierarchy(classes, settings.method.num_groups, method.levels, seed)
    bank = hierarchy and Discriminators(hierarchy, settings.model.discriminator_units, D, seed)
    networks = Networks(build_extractor(settings.model, 8), build_classifier(D, classes), bank)
    optimizers = build_optimizers(networks, settings)
    return networks, TrainingStep(networks, optimizers, method, hierarchy, settings), hierarchy


def _batch(labels=(0, 1, 2, 3, 1), seed=0):
    rng = np.random.default_rng(seed)
    images = lambda n: tf.constant(rng.integers(0, 256, (n, 8, 8, 3)), tf.uint8)  # noqa: E731
    return {
        "source_images": images(len(labels)),
        "source_labels": tf.constant(labels, tf.int32),
        "target_images": images(NT),
    }


def _values(model):
    return [np.asarray(v) for v in model.trainable_variables]


def _weights(discriminators):
    """Kernels, then biases, of all levels: each [K, ...]."""
    layers = range(len(discriminators.banks[0].kernels))
    kernels = [np.concatenate([np.asarray(bank.kernels[i]) for bank in discriminators.banks]) for i in layers]
    biases = [np.concatenate([np.asarray(bank.biases[i]) for bank in discriminators.banks]) for i in layers]
    return kernels, biases


def _separate_discriminators(discriminators, k):
    """Discriminator k alone, as functions of its own weights."""
    kernels, biases = _weights(discriminators)
    weights = [tf.Variable(w[k]) for w in kernels]
    biases = [tf.Variable(b[k]) for b in biases]

    def logit(x):
        for i, (w, b) in enumerate(zip(weights, biases)):
            x = x @ w + b
            x = tf.nn.relu(x) if i < len(weights) - 1 else x
        return tf.squeeze(x, -1)

    return [*weights, *biases], logit


def _slow_losses(logits_of, features, weights, domains, hierarchy):
    """(sum of L_k, L^syn) with one inner tape for each discriminator."""
    losses, magnitudes = [], []
    for k, logit in enumerate(logits_of):
        with tf.GradientTape() as inner:
            inner.watch(features)
            h = tf.nn.sigmoid_cross_entropy_with_logits(domains, logit(features))
            loss = tf.reduce_mean(weights[k] * h)
        slope = inner.gradient(loss, features)  # dL_k/df_i, the weights inside
        losses.append(loss)
        magnitudes.append(tf.reduce_sum(synchronization.safe_norm(slope)))
    return tf.add_n(losses), synchronization.synchronization_loss(tf.stack(magnitudes), hierarchy)


@pytest.mark.parametrize("slopes", ["closed_form", "tapes"])
def test_one_pass_updates_as_two_passes_with_a_tape_for_each_discriminator(slopes):
    settings = _settings(slopes=slopes)
    networks, step, hierarchy = _build(settings)
    batch = _batch()
    extractor, classifier, bank = networks.extractor, networks.classifier, networks.discriminators
    beta, rate = settings.method.beta, settings.optimization.learning_rate
    images = tf.concat([batch["source_images"], batch["target_images"]], 0)
    domains = alignment.domain_labels(NS, NT)
    features = extractor(images)
    p = alignment.class_probabilities(batch["source_labels"], classifier(features[NS:]), R)
    weights = alignment.loss_weights(p, tf.constant(hierarchy.membership))

    # (14), (15): every discriminator is a network of its own.
    singles = [_separate_discriminators(bank, k) for k in range(hierarchy.size)]
    variables = [v for vs, _ in singles for v in vs]
    with tf.GradientTape() as tape:
        losses, sync = _slow_losses([f for _, f in singles], features, weights, domains, hierarchy)
        loss = losses + beta * sync
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        variable.assign_sub(rate * settings.optimization.discriminator_rate * gradient)
    # (16), (17): a second forward pass, through the discriminators as they are now.
    others = [*extractor.trainable_variables, *classifier.trainable_variables]
    with tf.GradientTape() as tape:
        features = extractor(images)
        logits = classifier(features)
        loss, _, _ = classification.classification_loss(
            logits[:NS], batch["source_labels"], logits[NS:], settings.method.alpha
        )
        losses, sync = _slow_losses([f for _, f in singles], features, weights, domains, hierarchy)
        loss += settings.method.adversarial_weight / len(hierarchy.levels) * (beta * sync - losses)
    expected = [np.asarray(v) - rate * g.numpy() for v, g in zip(others, tape.gradient(loss, others))]

    metrics = step(batch, tf.constant(0, tf.int64))
    assert metrics["loss/synchronization"] > 1e-3
    for variable, value in zip(others, expected):
        np.testing.assert_allclose(np.asarray(variable), value, rtol=2e-4, atol=2e-6)
    for k, (vs, _) in enumerate(singles):
        mine = [w[k] for ws in _weights(bank) for w in ws]
        for value, variable in zip(mine, vs):
            np.testing.assert_allclose(value, variable.numpy(), rtol=2e-4, atol=2e-6)


def test_alignment_does_not_move_the_classifier():
    batch = _batch()
    moved = []
    for weight in (0.0, 5.0):
        networks, step, _ = _build(_settings(adversarial_weight=weight))
        step(batch, tf.constant(0, tf.int64))
        moved.append((_values(networks.classifier), _values(networks.extractor)))
    for without, with_alignment in zip(moved[0][0], moved[1][0]):
        np.testing.assert_array_equal(without, with_alignment)
    assert any(not np.array_equal(a, b) for a, b in zip(moved[0][1], moved[1][1]))


def test_beta_moves_discriminators_and_extractor():
    batch = _batch()
    moved = []
    for beta in (0.0, 5.0):
        networks, step, _ = _build(_settings(beta=beta))
        step(batch, tf.constant(0, tf.int64))
        moved.append((_values(networks.discriminators)[0], _values(networks.extractor)[0]))
    assert not np.allclose(moved[0][0], moved[1][0])
    assert not np.allclose(moved[0][1], moved[1][1])


def test_a_ramp_lets_the_entropy_in_later():
    def classifier_after(step_number, **changes):
        networks, step, _ = _build(_settings(**changes))
        step(_batch(), tf.constant(step_number, tf.int64))
        return np.concatenate([v.ravel() for v in _values(networks.classifier)])

    without = classifier_after(0, alpha=0.0)
    np.testing.assert_array_equal(classifier_after(0, alpha=1.0, alpha_ramp=4.0), without)
    assert not np.allclose(classifier_after(0, alpha=1.0), without)
    half = np.tanh(4.0 * 0.5 / 2)  # half of the 10 steps
    np.testing.assert_allclose(
        classifier_after(5, alpha=1.0, alpha_ramp=4.0), classifier_after(5, alpha=half), rtol=1e-5, atol=1e-7
    )


def test_source_only_needs_no_target():
    networks, step, _ = _build(_settings(method="source_only"))
    before = _values(networks.extractor)
    batch = _batch()
    del batch["target_images"]
    metrics = step(batch, tf.constant(0, tf.int64))
    assert set(metrics) == {"learning_rate", "loss/cross_entropy", "loss/entropy"}
    assert not np.array_equal(before[0], _values(networks.extractor)[0])


def test_the_share_of_confident_targets_is_logged_where_there_is_a_threshold():
    batch = _batch()
    networks, _, _ = _build(_settings())
    probabilities = tf.nn.softmax(networks.classifier(networks.extractor(batch["target_images"])))
    highest = np.sort(np.asarray(probabilities).max(-1))
    assert highest[1] < highest[2]
    _, step, _ = _build(_settings(confidence_threshold=float(highest[1:3].mean())))
    np.testing.assert_allclose(step(batch, tf.constant(0, tf.int64))["confident_share"], (NT - 2) / NT)
    _, step, _ = _build(_settings(confidence_threshold=0.0))
    assert "confident_share" not in step(batch, tf.constant(0, tf.int64))


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize(
    "classes, groups, labels",
    [(4, (2,), (0, 1, 2, 0, 1)), (1, (1,), (0,) * 5), (4, (1,), (0, 1, 2, 3, 0)), (4, (4,), (0, 1, 2, 3, 0)),
     (4, (2, 4), (3, 3, 2, 1, 0))],
    ids=["class absent", "one class", "one group", "groups are classes", "two levels"],
)  # fmt: skip
def test_edge_cases_stay_finite(method, classes, groups, labels):
    networks, step, _ = _build(_settings(method=method, num_groups=groups), classes=classes)
    for i in range(3):
        metrics = step(_batch(labels), tf.constant(i, tf.int64))
    assert all(np.isfinite(v).all() for v in metrics.values())
    models = [m for m in (networks.extractor, networks.classifier, networks.discriminators) if m is not None]
    assert all(np.isfinite(v).all() for m in models for v in _values(m))


def test_saturated_discriminators_stay_finite():
    networks, step, _ = _build(_settings())
    for bank in networks.discriminators.banks:
        bank.biases[-1].assign(tf.fill(bank.biases[-1].shape, 300.0))
    metrics = step(_batch(), tf.constant(0, tf.int64))
    assert all(np.isfinite(v) for v in metrics.values())
    assert all(np.isfinite(v).all() for v in _values(networks.extractor) + _values(networks.discriminators))
