import numpy as np
from sklearn.neighbors import NearestNeighbors

from gsda_tf.reporting.embedding import tsne


def _clouds():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (2, 60))
    centres = 12 * np.eye(4, 20)
    return labels, [centres[part] + rng.normal(size=(60, 20)) for part in labels]


def test_clouds_stay_clouds_whatever_the_domain():
    labels, (source, target) = _clouds()
    points = np.concatenate(tsne(source, target))
    everything = labels.reshape(-1)
    nearest = NearestNeighbors(n_neighbors=2).fit(points).kneighbors(return_distance=False)
    assert np.mean(everything[nearest[:, 0]] == everything) > 0.95


def test_the_same_features_give_the_same_picture():
    _, (source, target) = _clouds()
    for once, again in zip(tsne(source, target), tsne(source, target)):
        np.testing.assert_array_equal(once, again)


def test_few_images_are_enough():
    rng = np.random.default_rng(0)
    source, target = tsne(rng.normal(size=(3, 5)), rng.normal(size=(2, 5)))
    assert source.shape == (3, 2) and target.shape == (2, 2)
    assert np.isfinite(source).all() and np.isfinite(target).all()


def test_features_that_are_all_the_same_are_one_point():
    source, target = tsne(np.full((20, 8), 0.3), np.full((9, 8), 0.3))
    assert source.shape == (20, 2) and target.shape == (9, 2)
    assert not np.ptp(np.concatenate([source, target]), axis=0).any()


def test_features_of_one_or_two_values_are_drawn():
    for features in (np.eye(3)[[0] * 20 + [1] * 10], np.arange(30.0)[:, None]):
        assert np.isfinite(np.concatenate(tsne(features, features))).all()
