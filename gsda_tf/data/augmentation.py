"""Random changes to training images, each a function of its seed alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from gsda_tf.data.affine import transform

_AREA, _ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)
_TRIES = 10


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The random changes of `--augmentation=NAME` to a training image.

    Attributes:
      random_crop: a random resized crop and a flip; else the image is prepared as in evaluation.
      change: (uint8 [S, S, 3], seed int [2]) -> uint8 [S, S, 3], what is done after that.
    """

    random_crop: bool
    change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None


def random_box(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A random part of a square image, and whether to flip it: the recipe of "random resized crop".

    Area uniform in 0.08..1 of the image, aspect ratio log-uniform in 3/4..4/3, anywhere where it fits.

    Args:
      seed: int [2].

    Returns:
      (float32 [4]: y, x, height, width in parts of the image; bool scalar).
    """
    draws = tf.random.stateless_uniform([2 * _TRIES + 3], seed)
    area = _AREA[0] + (_AREA[1] - _AREA[0]) * draws[:_TRIES]
    low, high = math.log(_ASPECT[0]), math.log(_ASPECT[1])
    root = tf.exp((low + (high - low) * draws[_TRIES : 2 * _TRIES]) / 2)
    # A last candidate that always fits: the whole image.
    sides = tf.stack([tf.sqrt(area) / root, tf.sqrt(area) * root], axis=1)
    sides = tf.concat([sides, tf.ones([1, 2])], axis=0)
    chosen = sides[tf.argmax(tf.cast(tf.reduce_all(sides <= 1.0, axis=1), tf.int32))]
    start = draws[2 * _TRIES : 2 * _TRIES + 2] * (1.0 - chosen)
    return tf.concat([start, chosen], axis=0), draws[-1] < 0.5


def _strong(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    # TensorFlow Addons takes seconds to import, and only this needs it.
    from gsda_tf.data.augmentation_strong import strong

    return strong(image, seed)


def slight_affine(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Turned, sheared, scaled and shifted a little, as handwriting differs; what comes in at the edges is black.

    Args:
      image: uint8 [S, S, 3].
      seed: int [2].

    Returns:
      uint8 [S, S, 3].
    """
    size = tf.cast(tf.shape(image)[0], tf.float32)
    draws = tf.random.stateless_uniform([5], seed + tf.constant([1 << 20, 0], seed.dtype), -1.0, 1.0)
    angle, shear, scale = draws[0] * 0.17, draws[1] * 0.15, 1.0 + 0.1 * draws[2]
    return transform(image, angle, shear, scale, draws[3:] * 0.08 * size)


# To add an augmentation: a function and a line here, and its name among the choices in settings.py.
AUGMENTATIONS: dict[str, Augmentation] = {
    "standard": Augmentation(random_crop=True),
    "strong": Augmentation(random_crop=True, change=_strong),
    "digits": Augmentation(random_crop=False, change=slight_affine),
    "none": Augmentation(random_crop=False),
}
