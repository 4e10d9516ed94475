import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gsda_tf.evaluation import unsupervised

_RNG = np.random.default_rng(0)


def test_a_distance_follows_the_shift():
    source = _RNG.normal(size=(600, 16)).astype(np.float32)
    target = _RNG.normal(size=(900, 16)).astype(np.float32)
    values = [unsupervised.a_distance(source, target + shift)[0] for shift in (0.0, 0.3, 3.0)]
    assert values[0] < 0.35
    assert values[0] < values[1] < values[2]
    assert values[2] > 1.95


def test_a_distance_is_of_held_out_images():
    # With more features than images any fitted half is separable; the other half is what counts.
    same = _RNG.normal(size=(2, 100, 1000))
    distance, spread = unsupervised.a_distance(*same)
    assert distance < 0.6 and 0 < spread < 0.6


def test_a_distance_is_the_mean_over_divisions_of_the_images():
    """The same of other divisions of the same images, where one division is off by a tenth and more."""
    source, target = np.random.default_rng(5).normal(size=(2, 60, 64)) + np.array([0, 0.25])[:, None, None]
    single = [unsupervised.a_distance(np.roll(source, k, axis=0), target, splits=1)[0] for k in range(40)]
    mean, spread = unsupervised.a_distance(source, target)
    assert mean == pytest.approx(np.mean(single), abs=4 * np.std(single) / np.sqrt(20))
    assert spread == pytest.approx(np.std(single), rel=0.6)
    assert unsupervised.a_distance(source, target, splits=1)[1] == 0


def test_the_classifiers_of_all_divisions_are_those_of_scikit_learn():
    """Each, with its own scale; a number that is the same in all rows that one is fitted to tells nothing."""
    rows = np.random.default_rng(6).normal(size=(40, 6)) * 10.0 ** np.arange(-3, 3)
    rows[:, 0], rows[-1, 0] = 7.0, 9.0
    rows -= rows.mean(axis=0)
    side, fitted = np.repeat([-1.0, 1.0], 20), np.zeros((3, 40))
    for number, chosen in enumerate(fitted):
        chosen[np.random.default_rng(number).permutation(39)[:24]] = 1
    for chosen, logits in zip(fitted, unsupervised._separations(rows, side, fitted)):
        peer = make_pipeline(StandardScaler(), LogisticRegression(C=unsupervised._STRENGTH, tol=1e-10))
        peer.fit(rows[chosen > 0], side[chosen > 0])
        np.testing.assert_allclose(logits, peer.decision_function(rows), atol=1e-3 * np.abs(logits).max())


def test_too_few_images_give_nan():
    assert np.isnan(unsupervised.a_distance(np.zeros((2, 3)), np.zeros((50, 3)))).all()


def test_of_many_images_a_fixed_part_is_looked_at():
    """What costs more than once an image is bounded: all but these images may be anything."""
    source, target = _RNG.normal(size=(2, 5000, 8))
    distance = unsupervised.a_distance(source, target)
    others = np.setdiff1d(np.arange(5000), np.linspace(0, 4999, 500).round())
    source[others] = target[others] = np.nan
    assert unsupervised.a_distance(source, target) == distance
