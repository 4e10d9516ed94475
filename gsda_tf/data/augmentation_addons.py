"""The operations of `--augmentation=strong` by TensorFlow Addons. Nothing else imports it.

Addons is at its end of life and cannot be imported with Keras 3: `augmentation_plain` does the same there.
"""

import warnings

import tensorflow as tf

from gsda_tf.compat import KERAS_3

if not KERAS_3:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pages about its end of life, which BUILD.md tells.
        import tensorflow_addons as tfa


def rotate(image: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """Turned about its centre by `angle` radians, black outside: uint8 [S, S, 3] -> the same."""
    return tfa.image.rotate(image, angle, interpolation="bilinear")


def shear(image: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
    """Each row moved `level` pixels further than the one above, black outside: uint8 [S, S, 3] -> the same."""
    return tfa.image.shear_x(image, level, tf.zeros([], tf.int32))


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Each channel's histogram made flat: uint8 [S, S, 3] -> the same."""
    return tfa.image.equalize(image)


def sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blurred at factor 0, as it was at 1, sharpened above: uint8 [S, S, 3] -> the same."""
    # Addons branches on the factor in Python, which a factor that is a tensor breaks inside tf.data.
    smooth = tf.cast(tfa.image.sharpness(image, 0.0), tf.float32)
    blended = smooth + factor * (tf.cast(image, tf.float32) - smooth)
    return tf.cast(tf.clip_by_value(blended, 0.0, 255.0), tf.uint8)


def cutout(image: tf.Tensor, centre: tf.Tensor, size: int) -> tf.Tensor:
    """A black square of `size` pixels (even) about `centre` (int32 [2]: y, x): uint8 [S, S, 3] -> the same."""
    return tfa.image.cutout(image[None], (size, size), offset=centre)[0]
