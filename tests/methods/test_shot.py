"""SHOT against slow code by its formula, classes that are absent, and gradients against differences."""

import numpy as np
import pytest
import tensorflow as tf

from tests.methods import peers
from tests.methods.test_atdoc import batch, made, memory
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-300)


def slow_labels(queries, features, p, least):
    soft = unit(
        np.stack([sum(p[i, k] * features[i] for i in range(len(p))) / p[:, k].sum() for k in range(p.shape[1])])
    )
    first = [int(np.argmax(soft @ f)) for f in features]
    groups = {k: [f for f, y in zip(features, first) if y == k] for k in range(p.shape[1])}
    hard = {k: unit(np.mean(lot, axis=0)) for k, lot in groups.items() if len(lot) >= max(least, 1)}
    return [max(hard, key=lambda k: hard[k] @ q) for q in queries]


@pytest.mark.parametrize("least", [0, 2])
def test_labels_by_their_formula(least):
    module, (features, p) = double("methods.shot"), memory(n=20)
    queries = unit(np.random.default_rng(5).normal(size=(30, peers.D)))
    labels, there = module.centroid_labels(tf.constant(queries), tf.constant(features), tf.constant(p), least)
    assert there and labels.numpy().tolist() == slow_labels(queries, features, p, least)
    # Images that were not seen yet, zeros, have no part.
    padded = [tf.constant(np.concatenate([x, np.zeros_like(x)])) for x in (features, p)]
    assert module.centroid_labels(tf.constant(queries), *padded, least)[0].numpy().tolist() == labels.numpy().tolist()


@pytest.mark.parametrize("diversity", [0.0, 1.0])
def test_the_loss_by_its_formula(diversity):
    kept, (f_t, z_t) = memory(), peers.given("f_t", "z_t")
    term = made("shot", "SHOTTerm", kept, shot_weight=0.7, shot_diversity=diversity)
    p, labels = peers.softmax(z_t), slow_labels(unit(f_t.numpy()), *kept, 0)
    mean = p.mean(axis=0)
    expected = -(p * np.log(p)).sum(axis=1).mean() + diversity * (mean * np.log(mean + 1e-5)).sum()
    expected += 0.3 * np.mean([-np.log(p[i, y]) for i, y in enumerate(labels)])
    np.testing.assert_allclose(term.loss(batch(np.arange(8))), 0.7 * expected, rtol=1e-9)
    peers.differentiate(lambda z: term.loss(batch(np.arange(8), z_t=z)), z_t.numpy())


def test_a_memory_of_nothing_gives_no_labels():
    term = made("shot", "SHOTTerm")
    none = made("shot", "SHOTTerm", shot_label_weight=0.0)
    np.testing.assert_array_equal(term.loss(batch(np.arange(8))), none.loss(batch(np.arange(8))))
