"""Votes against a loop."""

import numpy as np
import pytest

from gsda_tf.choosing import agreement


def one_hot(labels, classes=3, top=0.8):
    return np.eye(classes)[np.asarray(labels)] * (top - (1 - top) / (classes - 1)) + (1 - top) / (classes - 1)


def test_votes_are_counted_as_by_hand():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), size=(5, 40))
    weights = np.array([1.0, 2.0, 0.0, 4.0, 8.0])
    votes = agreement.vote(probabilities, weights)
    for i in range(40):
        counts = np.zeros(3)
        for model, weight in zip(probabilities[:, i], weights):
            counts[model.argmax()] += weight / 15
        assert votes.predictions[i] == counts.argmax()
        assert votes.share[i] == pytest.approx(counts.max())
        assert votes.unanimous[i] == (counts.max() > 1 - 1e-9)


def test_a_tie_goes_to_the_larger_mean_probability():
    sure, unsure = one_hot([1], top=0.9), one_hot([0], top=0.6)
    for pair in (np.stack([sure, unsure]), np.stack([unsure, sure])):
        votes = agreement.vote(pair)
        assert votes.predictions[0] == 1 and votes.share[0] == pytest.approx(0.5) and not votes.unanimous[0]


def test_one_member_is_unanimous():
    votes = agreement.vote(one_hot([2, 0])[None])
    np.testing.assert_array_equal(votes.predictions, [2, 0])
    assert votes.unanimous.all() and (votes.share == 1).all()


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
