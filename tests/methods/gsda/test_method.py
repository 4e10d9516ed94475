"""The step against the equations: what moves, by how much, and by what."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests import rounding
from tests.methods.build import NS, NT, R, batch, experiment, task, values
from tests.rounding import double

ROWS = ("source_only", "domain", "domain_class", "domain_group_class", "gsda")
_OPTIONS = {"alpha": 0.1, "adversarial_weight": 0.5, "adversarial_ramp": 0.0, "num_groups": (2,), "beta": 0.7}


def _build(method="gsda", data=None, **changes):
    from gsda_tf import methods

    mine = {k: v for k, v in _OPTIONS.items() if k in {f.name for f in dataclasses.fields(methods.options_of(method))}}
    return experiment(method, data, **{**mine, **changes})


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
    synchronization = double("methods.gsda.synchronization")
    losses, magnitudes = [], []
    for k, logit in enumerate(logits_of):
        with tf.GradientTape() as inner:
            inner.watch(features)
            h = tf.nn.sigmoid_cross_entropy_with_logits(domains, logit(features))
            loss = tf.reduce_mean(weights[k] * h)
        slope = inner.gradient(loss, features)  # dL_k/df_i, the weights inside
        losses.append(loss)
        magnitudes.append(tf.reduce_sum(double("losses").safe_norm(slope)))
    return tf.add_n(losses), synchronization.synchronization_loss(tf.stack(magnitudes), hierarchy)


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("slopes", ["closed_form", "tapes"])
def test_one_pass_updates_as_two_passes_with_a_tape_for_each_discriminator(slopes):
    """In float64."""
    built = _build(slopes=slopes, package=double)
    alignment, classification = double("methods.gsda.alignment"), double("losses")
    settings, hierarchy, fed = built.settings, built.method.hierarchy, batch()
    extractor, classifier, bank = built.extractor, built.method.classifier, built.method.bank
    options, rate = settings.options, settings.optimization.learning_rate
    beta = options.beta
    images = tf.concat([fed["source_images"], fed["target_images"]], 0)
    domains = double("losses").domain_labels(NS, NT)
    features = extractor(images)
    p = alignment.class_probabilities(fed["source_labels"], classifier(features[NS:]), R)
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
        loss = tf.reduce_mean(classification.source_cross_entropy(logits[:NS], fed["source_labels"]))
        loss += options.alpha * tf.reduce_mean(classification.conditional_entropy(logits[NS:]))  # (5)
        losses, sync = _slow_losses([f for _, f in singles], features, weights, domains, hierarchy)
        loss += options.adversarial_weight / len(hierarchy.levels) * (beta * sync - losses)
    expected = [np.asarray(v) - rate * g.numpy() for v, g in zip(others, tape.gradient(loss, others))]

    metrics = built.training_step(fed, tf.constant(0, tf.int64))
    assert metrics["loss/synchronization"] > 1e-3
    assert rounding.distance([np.asarray(v) for v in others], expected) < rounding.STEP
    for k, (vs, _) in enumerate(singles):
        mine = [w[k] for ws in _weights(bank) for w in ws]
        assert rounding.distance(mine, [np.asarray(v) for v in vs]) < rounding.STEP


def test_alignment_does_not_move_the_classifier():
    moved = []
    for weight in (0.0, 5.0):
        built = _build(adversarial_weight=weight)
        built.training_step(batch(), tf.constant(0, tf.int64))
        moved.append((values(built.method.classifier), values(built.extractor)))
    for without, with_alignment in zip(moved[0][0], moved[1][0]):
        np.testing.assert_array_equal(without, with_alignment)
    assert any(not np.array_equal(a, b) for a, b in zip(moved[0][1], moved[1][1]))


def test_beta_moves_discriminators_and_extractor():
    moved = []
    for beta in (0.0, 5.0):
        built = _build(beta=beta)
        built.training_step(batch(), tf.constant(0, tf.int64))
        moved.append((values(built.method.bank)[0], values(built.extractor)[0]))
    assert not np.allclose(moved[0][0], moved[1][0])
    assert not np.allclose(moved[0][1], moved[1][1])


@pytest.mark.usefixtures("in_double")
def test_a_ramp_lets_the_entropy_in_later():
    def classifier_after(step_number, **changes):
        built = _build(package=double, **changes)
        built.training_step(batch(), tf.constant(step_number, tf.int64))
        return np.concatenate([v.ravel() for v in values(built.method.classifier)])

    without = classifier_after(0, alpha=0.0)
    np.testing.assert_array_equal(classifier_after(0, alpha=1.0, alpha_ramp=4.0), without)
    assert not np.allclose(classifier_after(0, alpha=1.0), without)
    half = np.tanh(4.0 * 0.5 / 2)  # half of the 10 steps
    ramped, constant = classifier_after(5, alpha=1.0, alpha_ramp=4.0), classifier_after(5, alpha=half)
    assert rounding.distance(ramped, constant) < rounding.STEP


def test_source_only_needs_no_target():
    built = _build("source_only")
    before = values(built.extractor)
    metrics = built.training_step(batch(images=("source",)), tf.constant(0, tf.int64))
    assert set(metrics) == {"learning_rate", "loss/classification"}
    assert not np.array_equal(before[0], values(built.extractor)[0])


@pytest.mark.parametrize("method", ROWS)
@pytest.mark.parametrize(
    "classes, groups, labels",
    [(4, (2,), (0, 1, 2, 0, 1)), (1, (1,), (0,) * 5), (4, (1,), (0, 1, 2, 3, 0)), (4, (4,), (0, 1, 2, 3, 0)),
     (4, (2, 4), (3, 3, 2, 1, 0))],
    ids=["class absent", "one class", "one group", "groups are classes", "two levels"],
)  # fmt: skip
def test_edge_cases_stay_finite(method, classes, groups, labels):
    options = {"num_groups": groups} if method in ("domain_group_class", "gsda") else {}
    built = _build(method, task(classes), **options)
    for i in range(3):
        metrics = built.training_step(batch(labels, images=built.method.images), tf.constant(i, tf.int64))
    assert all(np.isfinite(v).all() for v in metrics.values())
    assert all(np.isfinite(v.numpy()).all() for group in built.networks().values() for v in group)


def test_saturated_discriminators_stay_finite():
    built = _build()
    for bank in built.method.bank.banks:
        bank.biases[-1].assign(tf.fill(bank.biases[-1].shape, 300.0))
    metrics = built.training_step(batch(), tf.constant(0, tf.int64))
    assert all(np.isfinite(v) for v in metrics.values())
    assert all(np.isfinite(v).all() for v in values(built.extractor) + values(built.method.bank))
