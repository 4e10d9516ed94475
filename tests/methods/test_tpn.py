"""TPN against a slow reference and in its limits; there is no code of its authors."""

import types

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.compat import tf_variable
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")

WEIGHTS = {"general_weight": 0.7, "task_weight": 1.3}
R, D = 4, 3


def tpn(classes=R, features=D, **options):
    return peers.method("tpn", "TPN", classes=classes, features=features, **{**WEIGHTS, **options})


def batch(source, target, labels):
    zeros = np.zeros([len(source) + len(target), 1])
    return peers.batch(source, target, zeros[: len(source)], zeros[len(source) :], labels)


def data(labels=(0, 1, 2, 3, 1, 0), target=7, seed=0):
    rng = np.random.default_rng(seed)
    centres = 2 * rng.normal(size=(R, D))
    return centres[list(labels)] + rng.normal(size=(len(labels), D)), rng.normal(size=(target, D)), list(labels)


def log_softmax(distances):
    return -distances - np.log(np.exp(-distances).sum())


def reference(source, target, labels):
    """The parts of the loss, class by class and sample by sample: (cross-entropy, general, task)."""
    square = lambda a, b: ((a - b) ** 2).sum() / np.sqrt(D)  # noqa: E731
    labels = np.asarray(labels)
    present = sorted(set(labels))
    mu_s = {c: source[labels == c].mean(0) for c in present}
    said = np.array([min(present, key=lambda c: square(x, mu_s[c])) for x in target])
    shared = [c for c in present if (said == c).any()]
    mu_t = {c: target[said == c].mean(0) for c in shared}
    mu_st = {c: np.concatenate([source[labels == c], target[said == c]]).mean(0) for c in shared}
    cross_entropy = 0.0
    for i, (x, y) in enumerate(zip(source, labels)):
        others = source[(labels == y) & (np.arange(len(labels)) != i)]
        own = {y: others.mean(0)} if len(others) else {}  # nothing is kept yet
        p = log_softmax(np.array([square(x, {**mu_s, **own}[c]) for c in present]))
        cross_entropy -= p[present.index(y)] / len(source)
    pairs = ((mu_s, mu_t), (mu_s, mu_st), (mu_t, mu_st))
    general = np.mean([sum(square(a[c], b[c]) for a, b in pairs) for c in shared])

    def divergence(x, a, b):
        p, q = (log_softmax(np.array([square(x, mu[c]) for c in shared])) for mu in (a, b))
        return 0.5 * sum(np.exp(p) * (p - q)) + 0.5 * sum(np.exp(q) * (q - p))

    task = [sum(divergence(x, a, b) for a, b in pairs) / 3 for x in (*source, *target)]
    return cross_entropy, general, np.mean(task)


@pytest.mark.parametrize("labels", [(0, 1, 2, 3, 1, 0), (0, 0, 2, 2), (1, 3, 1, 3, 3)], ids=str)
def test_against_a_slow_reference(labels):
    source, target, labels = data(labels)
    b = batch(source, target, labels)
    value = tpn().loss(b)
    parts = reference(source, target, labels)
    assert parts[1] > 0.01
    assert parts[2] > 0.01 or labels == [1, 3, 1, 3, 3]  # there the domains share one class, and cannot disagree
    np.testing.assert_allclose(value, parts[0] + 0.7 * parts[1] + 1.3 * parts[2], rtol=1e-9)
    np.testing.assert_allclose(
        [b.metrics["alignment/class"], b.metrics["alignment/divergence"]], parts[1:], rtol=1e-9, atol=1e-12
    )


def test_gradient_against_differences():
    source, target, labels = data()
    method = tpn()
    peers.differentiate(lambda f: method.loss(batch(f[:6], f[6:], labels)), np.concatenate([source, target]))


def test_prototypes_against_the_peers_inputs():
    prototypes = double("methods.tpn").prototypes
    f_s, f_t = peers.given("f_s", "f_t")
    y_s, y_t = peers.LABELS, peers.NUMBERS["inputs/y_t_pseudo"].astype(np.int32)
    source, source_counts = prototypes(f_s, tf.constant(y_s), 5)
    target, target_counts = prototypes(f_t, tf.constant(y_t), 5)
    joined, counts = prototypes(tf.concat([f_s, f_t], 0), tf.constant(np.concatenate([y_s, y_t])), 5)
    for ours, name in ((source, "s"), (target, "t"), (joined, "st")):
        peers.agree(ours, peers.NUMBERS[f"tpn/prototypes_{name}"])
    np.testing.assert_array_equal(counts, source_counts + target_counts)
    np.testing.assert_array_equal(source_counts, np.bincount(y_s))


def test_a_class_without_sample_has_no_prototype_and_no_nan():
    prototypes = double("methods.tpn").prototypes
    features = tf.constant([[1.0, 2.0], [3.0, 4.0]], tf.float64)
    _, (gradient,) = peers.gradients(lambda f: tf.reduce_sum(prototypes(f, [2, 2], 4)[0]), features)
    means, counts = prototypes(features, [2, 2], 4)
    np.testing.assert_array_equal(means, [[0, 0], [0, 0], [2, 3], [0, 0]])
    np.testing.assert_array_equal(counts, [0, 0, 2, 0])
    np.testing.assert_array_equal(gradient, np.full([2, 2], 0.5))


@pytest.mark.parametrize("labels", [[0], [0, 0, 0], [0, 1, 2], [3, 3, 1, 1, 1]], ids=str)
@pytest.mark.parametrize("target", [1, 6])
def test_absent_classes_are_finite(labels, target):
    """Of the source; and, with one image, of the target."""
    source, images, _ = data(labels, target)
    method = tpn()
    value, found = peers.gradients(lambda s, t: method.loss(batch(s, t, labels)), source, images)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in found)


def test_domains_that_are_the_same():
    """Far apart classes, so that each target sample is nearest to its own: all three prototypes are one."""
    labels = [0, 1, 2, 3, 1, 0]
    source = 20 * np.eye(R)[labels][:, :D] + np.random.default_rng(0).normal(size=(6, D))
    b = batch(source, source, labels)
    value = tpn().loss(b)
    np.testing.assert_allclose([b.metrics["alignment/class"], b.metrics["alignment/divergence"]], 0, atol=1e-20)
    np.testing.assert_allclose(value, b.metrics["loss/classification"], rtol=1e-12)


def test_the_distances_do_not_depend_on_where_the_features_lie():
    source, target, labels = data()
    values = []
    for shift in (0.0, 5.0):
        b = batch(source + shift, target + shift, labels)
        values.append(tpn().loss(b).numpy())
        values.append(b.metrics["alignment/class"].numpy())
    np.testing.assert_allclose(values[2:], values[:2], rtol=1e-9)


def test_a_sample_that_is_alone_is_compared_with_the_kept_prototype_of_its_class():
    method, (source, target, labels) = tpn(general_weight=0.0, task_weight=0.0), data((0, 1, 2, 3))
    kept = np.random.default_rng(1).normal(size=(R, D))
    tf_variable(method.classifier.anchors).assign(kept)
    square = ((source[:, None] - source) ** 2).sum(-1) / np.sqrt(D)
    np.fill_diagonal(square, ((source - kept) ** 2).sum(-1) / np.sqrt(D))
    expected = -np.mean([log_softmax(row)[i] for i, row in enumerate(square)])
    np.testing.assert_allclose(method.loss(batch(source, target, labels)), expected, rtol=1e-9)


def test_the_divergence():
    symmetric_divergence = double("methods.tpn").symmetric_divergence
    p, q = (peers.softmax(np.random.default_rng(i).normal(size=(3, 5))) for i in (0, 1))
    expected = 0.5 * (p * np.log(p / q) + q * np.log(q / p)).sum(1)
    one, other = (tf.constant(np.log(x)) for x in (p, q))
    np.testing.assert_allclose(symmetric_divergence(one, other), expected, rtol=1e-9)
    np.testing.assert_array_equal(symmetric_divergence(other, one), symmetric_divergence(one, other))
    np.testing.assert_array_equal(symmetric_divergence(one, one), np.zeros(3))


def test_the_deployed_prototypes_follow_those_of_the_source():
    method = tpn(prototype_decay=0.9)
    kept = tf_variable(method.classifier.anchors)
    source, target, labels = data((0, 1, 0))
    step = types.SimpleNamespace(
        forward=lambda: batch(source, target, labels),
        descend=lambda loss, b, *names: None,
        assign=lambda variables, values: [v.assign(x) for v, x in zip(variables, values)],
    )
    method.step(step)  # the first of a class is taken as it is
    first = np.stack([source[[0, 2]].mean(0), source[1], np.zeros(D), np.zeros(D)])
    np.testing.assert_allclose(kept, first, rtol=1e-12)
    source, labels = source + 1.0, [1, 2, 1]
    method.step(step)
    second = np.stack([first[0], 0.9 * first[1] + 0.1 * source[[0, 2]].mean(0), source[1], np.zeros(D)])
    np.testing.assert_allclose(kept, second, rtol=1e-12)
