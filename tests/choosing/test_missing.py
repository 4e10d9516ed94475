"""Classes that are missing, and shares of the others."""

import numpy as np

from gsda_tf.choosing import missing


def test_a_class_is_empty_only_where_every_candidate_says_so():
    predictions = np.array([[0, 0, 1, 3], [0, 1, 1, 4]])
    np.testing.assert_array_equal(missing.empty_classes(predictions, 6), [2, 5])
    np.testing.assert_array_equal(missing.empty_classes(predictions[0], 6), [2, 4, 5])
    np.testing.assert_array_equal(missing.empty_classes(predictions, 6, most=0.25), [2, 3, 4, 5])


def test_em_finds_the_shares_of_a_calibrated_classifier():
    rng = np.random.default_rng(0)
    prior, shares = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])
    labels = rng.choice(3, 4000, p=shares)
    x = labels + 0.6 * rng.normal(size=4000)
    density = prior * np.exp(-((x[:, None] - np.arange(3)) ** 2) / (2 * 0.6**2))
    found = missing.em_shares(density / density.sum(axis=1, keepdims=True), prior)
    np.testing.assert_allclose(found, missing.class_shares(labels, 3), atol=0.03)


def test_em_leaves_a_class_that_the_source_lacks_at_nothing():
    found = missing.em_shares(np.full((5, 3), 1 / 3), np.array([0.5, 0.5, 0]))
    np.testing.assert_allclose(found, [0.5, 0.5, 0])


def test_bbse_undoes_a_known_confusion():
    # Of class 0, 9 of 10 are called 0; of class 1, 8 of 10 are called 1.
    labels = np.repeat([0, 1], 10)
    held = np.r_[np.zeros(9), 1, np.zeros(2), np.ones(8)].astype(int)
    target = np.repeat([0, 1], [150, 250])  # 0.9 * 0.25 + 0.2 * 0.75 of 400, and the rest
    np.testing.assert_allclose(missing.bbse_shares(held, labels, target, 2), [0.25, 0.75], atol=1e-6)


def test_bbse_of_one_predicted_class_stays_a_distribution():
    found = missing.bbse_shares(np.zeros(4, int), np.array([0, 1, 0, 1]), np.zeros(5, int), 2)
    assert np.isclose(found.sum(), 1) and (found >= 0).all()


NAMES = ("cat", "dog", "owl")


def said(predictions, *others, top=0.9):
    runs = np.stack([predictions, *others])
    probabilities = np.eye(3)[runs[0]] * (top - (1 - top) / 2) + (1 - top) / 2
    return missing.warnings(runs[0], probabilities, runs, np.full(3, 1 / 3), NAMES)


def test_nothing_is_said_where_all_is_well():
    assert said([0, 1, 2] * 5, [0, 1, 2] * 5) == []


def test_missing_and_thin_classes_are_named():
    (message,) = said([0, 1] * 20)
    assert "missing" in message and "owl" in message
    (message,) = said([0, 1] * 20 + [2])
    assert "quarter" in message and "owl" in message
    (message,) = said([0, 1] * 20, [0, 1] * 19 + [2, 2])
    assert "quarter" in message  # another candidate finds owls: they are not missing


def test_scores_that_are_all_one_and_disagreement():
    (message,) = said([0, 1, 2] * 5, top=1.0)
    assert "scores" in message
    (message,) = said([0, 1, 2] * 5, [1, 2, 0] * 3 + [0, 1, 2] * 2)
    assert "60 %" in message


def test_many_missing_classes_are_counted():
    names = [f"c{i}" for i in range(20)]
    predictions = np.zeros(30, int)
    probabilities = np.full((30, 20), 0.05)
    (message,) = missing.warnings(predictions, probabilities, predictions[None], np.full(20, 0.05), names)
    assert "14 more" in message
