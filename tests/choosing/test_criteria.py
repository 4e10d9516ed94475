"""Criteria against slow references, and what they are blind to."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from gsda_tf.choosing import criteria


def blobs(classes=5, each=20, width=8, noise=0.1, seed=0):
    """(features [n, d], labels [n]): classes far apart."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    centres = np.eye(classes, width)
    return centres[labels] + noise * rng.normal(size=(len(labels), width)), labels


def test_clusters_of_classes_far_apart_are_the_classes():
    features, labels = blobs()
    assert adjusted_mutual_info_score(labels, criteria.clusters(criteria.reduced(features), 5)) == pytest.approx(1)


def test_clusters_are_the_same_each_time_and_never_more_than_images():
    features, _ = blobs(classes=3, each=2)
    once, again = (criteria.clusters(criteria.reduced(features), 31) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert len(once) == 6


def test_comparable_rows_are_centred_unit_and_invariant_to_scale():
    values = np.abs(np.random.default_rng(0).normal(size=(10, 4)))
    made = criteria.comparable(values)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1)
    np.testing.assert_allclose(criteria.comparable(9 * values), made)
    root = np.sqrt(values) - np.sqrt(values).mean(axis=0)
    np.testing.assert_allclose(made, root / np.linalg.norm(root, axis=1, keepdims=True))


def test_comparable_leaves_constant_features_at_zero():
    np.testing.assert_array_equal(criteria.comparable(np.ones((3, 2))), 0)


def test_cluster_information_is_blind_to_permuted_classes():
    _, labels = blobs()
    assert criteria.cluster_information(labels, labels) == pytest.approx(1)
    assert criteria.cluster_information((labels + 1) % 5, labels) == pytest.approx(1)
    assert criteria.cluster_information(np.zeros_like(labels), labels) == 0
    shuffled = np.random.default_rng(0).permutation(labels)
    assert abs(criteria.cluster_information(shuffled, labels)) < 0.2


def test_one_class_in_one_cluster_is_no_information():
    assert criteria.cluster_information(np.zeros(9, int), np.zeros(9, int)) == 0


def test_pairs_of_candidates_and_of_seeds():
    predictions = np.array([[0, 1, 2, 3], [0, 1, 2, 0], [0, 0, 2, 3]])
    candidates = np.array([0, 0, 1])
    np.testing.assert_allclose(
        criteria.pairwise_agreement(predictions), [[1, 0.75, 0.75], [0.75, 1, 0.5], [0.75, 0.5, 1]]
    )
    np.testing.assert_allclose(criteria.agreement_with_others(predictions, candidates), [0.75, 0.5, 0.625])
    np.testing.assert_allclose(criteria.agreement_between_seeds(predictions, candidates), [0.75, 0.75, np.nan])
    assert np.isnan(criteria.agreement_with_others(predictions[:2], candidates[:2])).all()
