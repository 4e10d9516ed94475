"""Agreement and what follows from it, against loops; closed-form answers from untouched features."""

import numpy as np
import pytest

from gsda_tf.choosing import agreement

from .test_clustering import blobs


def test_agreement_is_the_mean_probability_of_the_answer_that_is_taken():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=(4, 5))
    answers = np.array([0, 1, 2, 2, 0])
    by_hand = [np.mean([p[i, a] for p in probabilities]) for i, a in enumerate(answers)]
    np.testing.assert_allclose(agreement.agreement(probabilities, answers), by_hand)


def test_the_estimate_is_the_mean_agreement_within_its_interval_which_few_images_widen():
    many, few = (agreement.estimate(np.full(n, 0.7)) for n in (400, 20))
    assert (many.value, few.value) == pytest.approx((0.7, 0.7))
    assert few.low < many.low < 0.7 < many.high < few.high


def test_the_interval_stays_within_nothing_and_all():
    assert agreement.estimate(np.ones(10)).high == 1
    assert agreement.estimate(np.zeros(10)).low == 0


def test_nearest_means_skips_a_class_without_images_and_matches_a_loop():
    source, labels = blobs(classes=4)
    labels = np.where(labels >= 2, labels + 1, labels)  # no image of class 2
    target = np.random.default_rng(2).normal(size=(30, 8))
    found = agreement.nearest_means(source, labels, target)
    for row, answer in zip(target, found):
        cosines = {c: row @ (m := source[labels == c].mean(axis=0)) / np.linalg.norm(m) for c in (0, 1, 3, 4)}
        assert answer == max(cosines, key=cosines.get)


def test_majorities_by_cluster():
    groups = np.array([0, 0, 0, 1, 1])
    predictions = np.array([[2, 2, 1, 1, 1], [2, 0, 1, 1, 0]])
    np.testing.assert_array_equal(agreement.majorities(predictions, groups), [2, 2, 2, 1, 1])


def test_neighbours_support_is_their_mean_probability_of_the_answer_without_the_image_itself():
    values, labels = blobs(classes=3, each=6, noise=0.05)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=18)
    found = agreement.neighbours_support(values, probabilities, labels)
    for i in range(18):
        others = [j for j in range(18) if labels[j] == labels[i] and j != i]  # six of a kind: the five nearest
        assert np.isclose(found[i], probabilities[others, labels[i]].mean())


def test_one_image_supports_itself():
    np.testing.assert_allclose(
        agreement.neighbours_support(np.ones((1, 2)), np.array([[0.7, 0.3]]), np.array([0])), 0.7
    )
