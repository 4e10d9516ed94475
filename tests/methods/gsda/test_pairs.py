"""Pairs against the full matrix: nothing that has weight is left out."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from gsda_tf.data.sampling import BalancedSampler
from tests import rounding
from tests.rounding import double

alignment, pairs_lib = double("methods.gsda.alignment"), double("methods.gsda.pairs")
hierarchy_lib = double("methods.gsda.hierarchy")


def _sums(hierarchy, labels, probabilities, features):
    """For every node, sums over pairs and over the full matrix of what depends on sample, domain and weight."""
    mine, full = [], []
    domains = double("losses").domain_labels(len(labels), len(probabilities) - len(labels))
    for level in hierarchy.levels:
        pairs = pairs_lib.build_pairs(level, tf.constant(labels, tf.int32), probabilities)
        x = pairs.samples(features)
        mine.append(tf.reduce_sum(pairs.weights[..., None] * (x + 10 * pairs.domains[:, None]), axis=1))
        weights = alignment.loss_weights(probabilities, tf.constant(level.membership))
        full.append(tf.reduce_sum(weights[..., None] * (features + 10 * domains[:, None])[None], axis=1))
    return tf.concat(mine, 0), tf.concat(full, 0)


def _probabilities(labels, targets, classes, rng):
    logits = tf.constant(rng.normal(size=(targets, classes)))
    return alignment.class_probabilities(tf.constant(labels, tf.int32), logits, classes)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 12), st.integers(1, 24), st.integers(1, 9), st.integers(0, 5), st.integers(0, 10**6), st.data())
def test_pairs_hold_all_that_has_weight(classes, sources, targets, start, seed, data):
    rng = np.random.default_rng(seed)
    groups = data.draw(st.integers(1, classes))
    hierarchy = hierarchy_lib.build_hierarchy(classes, (groups,), ("domain", "group", "class"), seed)
    drawn = BalancedSampler(np.arange(classes).repeat(2), seed, 1).indices(start * sources + np.arange(sources))
    labels = drawn // 2
    assert np.bincount(labels).max() <= pairs_lib.most_of_a_class(sources, classes)
    probabilities = _probabilities(labels, targets, classes, rng)
    features = tf.constant(rng.normal(size=(sources + targets, 3)))
    mine, full = _sums(hierarchy, labels, probabilities, features)
    assert rounding.distance(mine, full) < rounding.STEP


def test_overlapping_groups():
    rng = np.random.default_rng(0)
    hierarchy = hierarchy_lib.hierarchy_from_groups(5, [[0, 1, 2], [2, 3], [4, 0]])
    labels = np.array([2, 0, 4])
    probabilities = _probabilities(labels, 4, 5, rng)
    features = tf.constant(rng.normal(size=(7, 3)))
    mine, full = _sums(hierarchy, labels, probabilities, features)
    assert rounding.distance(mine, full) < rounding.STEP


def test_a_batch_that_breaks_the_balance_is_not_cut_silently():
    hierarchy = hierarchy_lib.build_hierarchy(6, (3,), ("class",), 0)
    labels = np.zeros(6, np.int64)
    pairs = pairs_lib.build_pairs(
        hierarchy.levels[0], tf.constant(labels, tf.int32), _probabilities(labels, 2, 6, np.random.default_rng(0))
    )
    assert np.isnan(pairs.weights.numpy()).any()


@pytest.mark.parametrize(
    "samples,classes,most", [(36, 65, 2), (36, 12, 4), (1, 5, 1), (12, 12, 2), (13, 12, 2), (14, 12, 3)]
)
def test_most_of_a_class(samples, classes, most):
    assert pairs_lib.most_of_a_class(samples, classes) == most
