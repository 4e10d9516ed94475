"""Classes that are missing, and shares of the others."""

import numpy as np

from gsda_tf.choosing import missing

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
