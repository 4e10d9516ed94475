"""Estimates against slow references; none of them is the model's own confidence."""

import numpy as np
import pytest
from scipy.optimize import linprog

from gsda_tf.choosing import estimate


def test_cot_is_the_optimal_transport_of_a_linear_program():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), size=12)
    shares = np.array([0.5, 0.25, 0.25])
    cost = np.abs(probabilities[:, None] - np.eye(3)).sum(axis=2) / 2
    equal = np.concatenate([np.kron(np.eye(12), np.ones(3)), np.kron(np.ones(12), np.eye(3))])
    solved = linprog(cost.ravel(), A_eq=equal, b_eq=np.r_[np.full(12, 1 / 12), shares], method="highs")
    assert estimate.cot(probabilities, shares) == pytest.approx(1 - solved.fun)


def test_cot_is_one_for_sure_answers_in_the_source_shares_and_falls_with_a_class_too_many():
    sure = np.eye(2)[[0, 0, 1, 1]]
    assert estimate.cot(sure, np.array([0.5, 0.5])) == pytest.approx(1)
    assert estimate.cot(np.eye(2)[[0, 0, 0, 1]], np.array([0.5, 0.5])) == pytest.approx(0.75)


def test_cot_bears_an_absent_class_and_shares_that_do_not_divide():
    assert estimate.cot(np.eye(3)[[0, 1, 0]], np.array([0.5, 0.5, 0.0])) == pytest.approx(1)


def test_the_whole_is_the_mean_agreement_within_its_interval_which_few_images_widen():
    probabilities = np.tile([[0.9, 0.1]], (400, 1))
    many = estimate.whole(probabilities, np.full(400, 0.7), np.array([0.5, 0.5]))
    few = estimate.whole(probabilities[:20], np.full(20, 0.7), np.array([0.5, 0.5]))
    assert (many.value, few.value) == pytest.approx((0.7, 0.7))
    assert few.low < many.low < 0.7 < many.high < few.high
    assert many.parts["transport"] == pytest.approx(0.5)


def test_the_interval_stays_within_nothing_and_all():
    probabilities = np.tile([[0.9, 0.1]], (10, 1))
    assert estimate.whole(probabilities, np.ones(10), np.array([0.5, 0.5])).high == 1
    assert estimate.whole(probabilities, np.zeros(10), np.array([0.5, 0.5])).low == 0
