"""Strong augmentation as a whole."""

import functools

import numpy as np
import tensorflow as tf

from gsda_tf.data.images import ImageGeometry, seen
from tests.data.pictures import picture

IMAGE = tf.constant(picture(5, 40, 44))
GEOMETRY = ImageGeometry(32, 36)


@functools.cache
def _changed(name: str):
    """Traced once, which takes longer than all else here."""
    changed = tf.function(lambda i: seen(IMAGE, GEOMETRY, name, tf.stack([i, i])))
    return changed.get_concrete_function(tf.TensorSpec([], tf.int64))


def _images(name: str, seeds: range) -> np.ndarray:
    dataset = tf.data.Dataset.range(seeds.start, seeds.stop).map(_changed(name), num_parallel_calls=2)
    return np.stack(list(dataset.as_numpy_iterator()))


def test_is_a_function_of_the_seed():
    first, second = _images("strong", range(24)), _images("strong", range(24))
    assert first.shape == (24, 32, 32, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first.reshape(24, -1), axis=0)) == 24


def test_starts_from_the_crop_that_standard_takes():
    strong, standard = _images("strong", range(64)), _images("standard", range(64))
    same = (strong == standard).all(axis=(1, 2, 3))
    # Each of five changes is left out of half of the images, all five of one in 32.
    assert 0 < same.sum() < 16
