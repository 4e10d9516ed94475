"""Affine maps of an image."""

import tensorflow as tf


def transform(image: tf.Tensor, angle: tf.Tensor, shear: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Turns, shears, scales and shifts an image about its centre, bilinear, black outside.

    Args:
      image: uint8 [h, w, 3].
      angle: radians, counter-clockwise.
      shear: pixels to the side for each pixel down.
      scale: larger than 1 shrinks what is seen.
      shift: float [2], pixels down and right.

    Returns:
      uint8 [h, w, 3].
    """
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    centre = (shape - 1.0) / 2.0
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    # Where an output pixel (x, y) is taken from: rows of the inverse map.
    a, b = cos, shear * cos - sin
    c, d = sin, shear * sin + cos
    x0 = centre[1] - a * (centre[1] + shift[1]) - b * (centre[0] + shift[0])
    y0 = centre[0] - c * (centre[1] + shift[1]) - d * (centre[0] + shift[0])
    zero = tf.zeros([])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image[None], tf.float32),
        transforms=tf.stack([a, b, x0, c, d, y0, zero, zero])[None],
        output_shape=tf.shape(image)[:2],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]
    return tf.cast(moved + 0.5, tf.uint8)
