import numpy as np
import pytest

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


def test_too_few_images_give_nan():
    assert np.isnan(unsupervised.a_distance(np.zeros((2, 3)), np.zeros((50, 3)))).all()


def test_of_many_images_a_fixed_part_is_looked_at():
    """What costs more than once an image is bounded: all but these images may be anything."""
    source, target = _RNG.normal(size=(2, 5000, 8))
    distance = unsupervised.a_distance(source, target)
    others = np.setdiff1d(np.arange(5000), np.linspace(0, 4999, 500).round())
    source[others] = target[others] = np.nan
    assert unsupervised.a_distance(source, target) == distance
