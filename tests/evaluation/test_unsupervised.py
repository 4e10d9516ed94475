import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gsda_tf.evaluation import unsupervised

_RNG = np.random.default_rng(0)


def _softmax(z):
    return scipy.special.softmax(z, axis=1)


def test_entropy_and_information_against_scipy():
    logits = _RNG.normal(size=(50, 7)) * 3
    p = _softmax(logits)
    found = unsupervised.scores(_RNG.normal(size=(9, 4)), _RNG.normal(size=(50, 4)), logits)
    conditional = scipy.stats.entropy(p, axis=1).mean()
    assert found["entropy"] == pytest.approx(conditional)
    assert found["im"] == pytest.approx(scipy.stats.entropy(p.mean(axis=0)) - conditional)


def test_neighbourhood_density_against_loops():
    p = _softmax(_RNG.normal(size=(12, 4)) * 2)
    values = []
    for i in range(12):
        s = [p[i] @ p[j] / np.linalg.norm(p[i]) / np.linalg.norm(p[j]) / 0.05 for j in range(12) if j != i]
        values.append(scipy.stats.entropy(_softmax(np.array([s]))[0]))
    assert unsupervised.soft_neighbourhood_density(p) == pytest.approx(np.mean(values))


def test_collapsed_and_extreme_logits_stay_finite():
    logits = np.zeros((20, 3), np.float32)
    logits[:, 1] = 1e4
    found = unsupervised.scores(np.zeros((20, 2)), np.zeros((20, 2)), logits)
    assert np.isfinite(list(found.values())).all()
    assert found["entropy"] == 0 and found["im"] == 0
    # All predictions in one point: every neighbour is as near as any other.
    assert found["snd"] == pytest.approx(np.log(19))


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
    assert np.isnan(unsupervised.soft_neighbourhood_density(np.ones((1, 3))))


def test_same_scores_twice():
    source, target = _RNG.normal(size=(2, 200, 16)).astype(np.float32)
    logits = _RNG.normal(size=(200, 31)).astype(np.float32)
    assert unsupervised.scores(source, target, logits) == unsupervised.scores(source, target, logits)


def test_of_many_images_a_fixed_part_is_looked_at():
    """What costs more than once an image is bounded: all but these images may be anything."""
    source, target = _RNG.normal(size=(2, 5000, 8))
    p = _softmax(_RNG.normal(size=(5000, 4)))
    distance, density = unsupervised.a_distance(source, target), unsupervised.soft_neighbourhood_density(p)
    others = np.setdiff1d(np.arange(5000), np.linspace(0, 4999, 500).round())
    source[others] = target[others] = np.nan
    p[np.setdiff1d(np.arange(5000), np.linspace(0, 4999, 1000).round())] = np.nan
    assert unsupervised.a_distance(source, target) == distance
    assert unsupervised.soft_neighbourhood_density(p) == density
