"""Closed-form answers from untouched features."""

import numpy as np

from gsda_tf.choosing import witnesses

from .test_criteria import blobs


def test_each_witness_finds_classes_that_are_far_apart():
    source, labels = blobs(noise=0.2, seed=0)
    target, truth = blobs(noise=0.2, seed=1)
    found = witnesses.witnesses(source, labels, target, groups=truth, predictions=np.stack([truth, truth]))
    assert found.shape == (2, len(truth))
    np.testing.assert_array_equal(found, np.tile(truth, (2, 1)))


def test_nearest_means_skips_a_class_without_images_and_matches_a_loop():
    source, labels = blobs(classes=4)
    labels = np.where(labels >= 2, labels + 1, labels)  # no image of class 2
    target = np.random.default_rng(2).normal(size=(30, 8))
    found = witnesses.nearest_means(source, labels, target)
    for row, answer in zip(target, found):
        cosines = {c: row @ (m := source[labels == c].mean(axis=0)) / np.linalg.norm(m) for c in (0, 1, 3, 4)}
        assert answer == max(cosines, key=cosines.get)


def test_majorities_by_cluster():
    groups = np.array([0, 0, 0, 1, 1])
    predictions = np.array([[2, 2, 1, 1, 1], [2, 0, 1, 1, 0]])
    np.testing.assert_array_equal(witnesses.majorities(predictions, groups), [2, 2, 2, 1, 1])


def test_neighbours_support_is_their_mean_probability_of_the_answer_without_the_image_itself():
    values, labels = blobs(classes=3, each=6, noise=0.05)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=18)
    found = witnesses.neighbours_support(values, probabilities, labels)
    for i in range(18):
        others = [j for j in range(18) if labels[j] == labels[i] and j != i]  # six of a kind: the five nearest
        assert np.isclose(found[i], probabilities[others, labels[i]].mean())


def test_one_image_supports_itself():
    np.testing.assert_allclose(
        witnesses.neighbours_support(np.ones((1, 2)), np.array([[0.7, 0.3]]), np.array([0])), 0.7
    )
