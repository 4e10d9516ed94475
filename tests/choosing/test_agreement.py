"""Votes against a loop."""

import numpy as np

from gsda_tf.choosing import agreement


def test_agreement_is_the_mean_probability_of_the_answer_that_is_taken():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=(4, 5))
    answers = np.array([0, 1, 2, 2, 0])
    by_hand = [np.mean([p[i, a] for p in probabilities]) for i, a in enumerate(answers)]
    np.testing.assert_allclose(agreement.agreement(probabilities, answers), by_hand)


def test_unanimous_is_unanimous_with_the_answer():
    predictions = np.array([[0, 1, 2], [0, 0, 2], [0, 1, 2]])
    np.testing.assert_array_equal(agreement.unanimous(predictions, np.array([0, 1, 1])), [True, False, False])


def test_thresholds_tell_how_many_images_reach_them():
    share = np.array([1.0, 1.0, 0.5, 0.75])
    assert agreement.threshold_table(share) == [(1.0, 0.5), (0.75, 0.75), (0.5, 1.0)]
