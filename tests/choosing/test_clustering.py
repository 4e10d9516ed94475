"""Clusters of features."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from gsda_tf.choosing import clustering


def blobs(classes=5, each=20, width=8, noise=0.1, seed=0):
    """(features [n, d], labels [n]): classes far apart."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    centres = np.eye(classes, width)
    return centres[labels] + noise * rng.normal(size=(len(labels), width)), labels


def test_clusters_of_classes_far_apart_are_the_classes():
    features, labels = blobs()
    assert adjusted_mutual_info_score(labels, clustering.clusters(clustering.reduced(features), 5)) == pytest.approx(1)


def test_clusters_are_the_same_each_time_and_never_more_than_images():
    features, _ = blobs(classes=3, each=2)
    once, again = (clustering.clusters(clustering.reduced(features), 31) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert len(once) == 6


def test_comparable_rows_are_centred_unit_and_invariant_to_scale():
    values = np.abs(np.random.default_rng(0).normal(size=(10, 4)))
    made = clustering.comparable(values)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1)
    np.testing.assert_allclose(clustering.comparable(9 * values), made)
    root = np.sqrt(values) - np.sqrt(values).mean(axis=0)
    np.testing.assert_allclose(made, root / np.linalg.norm(root, axis=1, keepdims=True))


def test_comparable_leaves_constant_features_at_zero():
    np.testing.assert_array_equal(clustering.comparable(np.ones((3, 2))), 0)
