"""`--augmentation=strong`: sharpness, equalize, rotation, shear and cutout, each on half of the images."""

import math
from collections.abc import Callable

import tensorflow as tf

from gsda_tf.compat import KERAS_3

if KERAS_3:
    from gsda_tf.data import augmentation_plain as operations
else:
    from gsda_tf.data import augmentation_addons as operations

_PROBABILITY = 0.5
_ANGLE, _SHEAR, _SHARPNESS = math.radians(30), 0.3, 0.9
_CUTOUT = 4  # one of this many parts of the side


def strong(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Changes an image that is cropped already.

    Args:
      image: uint8 [S, S, 3].
      seed: int [2]; all that is random follows from it.

    Returns:
      uint8 [S, S, 3].
    """
    # Not the numbers that chose the crop.
    draws = tf.random.stateless_uniform([10], seed + tf.constant([1 << 21, 0], seed.dtype))
    signed = 2.0 * draws[5:] - 1.0
    side = image.shape[0]
    hole = max(2, side // _CUTOUT // 2 * 2)
    centre = tf.cast(draws[8:] * side, tf.int32)
    changes: list[Callable[[tf.Tensor], tf.Tensor]] = [
        lambda x: operations.sharpness(x, 1.0 + _SHARPNESS * signed[0]),
        operations.equalize,
        lambda x: operations.rotate(x, _ANGLE * signed[1]),
        lambda x: operations.shear(x, _SHEAR * signed[2]),
        lambda x: operations.cutout(x, centre, hole),
    ]
    shape = image.shape
    for i, change in enumerate(changes):
        image = tf.cond(draws[i] < _PROBABILITY, lambda x=image, f=change: f(x), lambda x=image: x)
        image = tf.ensure_shape(image, shape)
    return image
