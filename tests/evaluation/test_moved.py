"""New images beside those that a model was adapted to: made-up features whose distance is known."""

import numpy as np
import pytest

from gsda_tf.evaluation import unsupervised
from gsda_tf.evaluation.moved import LEAST, compare


def _side(labels, shift=0.0, seed=0):
    """Features that tell three classes, moved by `shift`, and sure answers."""
    features = 4 * np.eye(3, 6)[labels] + np.random.default_rng(seed).normal(size=(len(labels), 6))
    return features + shift * np.eye(6)[5], 0.9 * np.eye(3)[labels] + 0.1 / 3


def test_alike_and_other_images():
    seen, alike = _side(np.arange(300) % 3), _side(np.arange(240) % 3, seed=1)
    found = compare(seen, alike)
    assert found.pairs == 240 and abs(found.distance) < 0.35 and not found.again
    assert found.rows("abc")[-1][1].startswith("no")
    assert found.scores == pytest.approx((0.9 + 0.1 / 3,) * 2) and np.allclose(found.shares, 1 / 3, atol=1e-3)
    other = compare(seen, _side(np.arange(240) % 3, shift=12.0, seed=1))
    assert other.again and other.distance == pytest.approx(2.0) and other.rows("abc")[-1][1].startswith("yes")


def test_other_shares_of_the_same_classes_are_no_other_images():
    seen, one = _side(np.arange(300) % 3), _side(np.zeros(120, int), seed=1)
    found = compare(seen, one)
    assert found.pairs == 100 and not found.again  # as many as the target has of that class
    assert found.shares[1][0] > 0.95 and found.rows("abc")[3][1].startswith("a 33.3 % then, ")
    assert unsupervised.a_distance(seen[0], one[0])[0] > 1  # which classes tell apart


def test_too_few_images_tell_nothing():
    seen = _side(np.arange(300) % 3)
    found = compare(seen, _side(np.arange(LEAST - 1) % 3, shift=12.0))
    assert not found.again and np.isnan(found.distance) and found.rows("abc")[-1][1].startswith("unknown: few images")
    # None of a class that the target seemed to have: nothing can be laid beside.
    assert compare(_side(np.zeros(90, int)), _side(np.ones(90, int))).pairs == 0
