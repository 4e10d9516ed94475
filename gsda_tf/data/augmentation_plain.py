"""The operations of `--augmentation=strong` where TensorFlow Addons cannot be imported, as Addons defines them."""

import tensorflow as tf

from gsda_tf.data.affine import transform


def rotate(image: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """Turned about its centre by `angle` radians, black outside: uint8 [S, S, 3] -> the same."""
    return transform(image, angle, 0.0, 1.0, tf.zeros([2]))


def shear(image: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
    """Each row moved by `level` pixels more than the one above, black outside: uint8 [S, S, 3] -> the same."""
    half = (tf.cast(tf.shape(image)[0], tf.float32) - 1.0) / 2.0
    # Addons keeps the first row where it is, `transform` the middle one.
    return transform(image, 0.0, level, 1.0, tf.stack([0.0, -level * half]))


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Each channel's histogram made flat: uint8 [S, S, 3] -> the same."""
    return tf.stack([_equalize_channel(tf.cast(image[..., c], tf.int32)) for c in range(3)], axis=-1)


def _equalize_channel(channel: tf.Tensor) -> tf.Tensor:
    counts = tf.math.bincount(tf.reshape(channel, [-1]), minlength=256, maxlength=256)
    step = (tf.size(channel) - counts[tf.reduce_max(channel)]) // 255
    level = (tf.cumsum(counts, exclusive=True) + step // 2) // tf.maximum(step, 1)
    # Step 0: nearly all pixels have one value, and nothing can be spread.
    return tf.cast(tf.where(step > 0, tf.gather(tf.clip_by_value(level, 0, 255), channel), channel), tf.uint8)


def sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blurred at factor 0, as it was at 1, sharpened above: uint8 [S, S, 3] -> the same."""
    original = tf.cast(image, tf.float32)
    kernel = tf.reshape(tf.constant([1.0, 1, 1, 1, 5, 1, 1, 1, 1]) / 13.0, [3, 3, 1, 1])
    smooth = tf.nn.depthwise_conv2d(original[None], tf.tile(kernel, [1, 1, 3, 1]), [1, 1, 1, 1], "VALID")[0]
    smooth = tf.floor(tf.clip_by_value(smooth, 0.0, 255.0))
    inner = tf.pad(tf.ones_like(smooth, tf.bool), [[1, 1], [1, 1], [0, 0]])
    smooth = tf.where(inner, tf.pad(smooth, [[1, 1], [1, 1], [0, 0]]), original)
    return tf.cast(tf.clip_by_value(smooth + factor * (original - smooth), 0.0, 255.0), tf.uint8)


def cutout(image: tf.Tensor, centre: tf.Tensor, size: int) -> tf.Tensor:
    """A black square of `size` pixels (even) about `centre` (int32 [2]: y, x): uint8 [S, S, 3] -> the same."""
    shape = tf.shape(image)
    rows = tf.abs(2 * (tf.range(shape[0]) - centre[0]) + 1) < size
    columns = tf.abs(2 * (tf.range(shape[1]) - centre[1]) + 1) < size
    return tf.where((rows[:, None] & columns[None, :])[..., None], tf.zeros([], tf.uint8), image)
