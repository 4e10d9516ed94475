"""From an encoded image to what the network sees."""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class ImageGeometry:
    """Sizes in pixels: the network's input, and the square that images are resized to before the crop."""

    image_size: int
    resize_size: int


def decode(record: tf.Tensor) -> tf.Tensor:
    """JPEG, PNG, GIF (first frame) or BMP bytes -> uint8 [h, w, 3]."""
    return tf.io.decode_image(record, channels=3, expand_animations=False)


def _to_uint8(image: tf.Tensor, size: int) -> tf.Tensor:
    image = tf.cast(tf.clip_by_value(tf.round(image), 0.0, 255.0), tf.uint8)
    return tf.ensure_shape(image, [size, size, 3])


def evaluation_image(record: tf.Tensor, encoded: bool, geometry: ImageGeometry) -> tf.Tensor:
    """Resized to a square, centre crop: uint8 [S, S, 3]."""
    image = decode(record) if encoded else record
    resized = tf.image.resize(image, [geometry.resize_size] * 2, antialias=True)
    start = (geometry.resize_size - geometry.image_size) // 2
    return _to_uint8(
        resized[start : start + geometry.image_size, start : start + geometry.image_size], geometry.image_size
    )


def training_image(
    record: tf.Tensor, encoded: bool, geometry: ImageGeometry, augmentation: str, seed: tf.Tensor
) -> tf.Tensor:
    """Random resized crop and flip: uint8 [S, S, 3], a function of `seed` alone."""
    if augmentation == "none":
        return evaluation_image(record, encoded, geometry)
    image = decode(record) if encoded else record
    image = tf.image.resize(image, [geometry.resize_size] * 2, antialias=True)
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        tf.zeros([1, 0, 4]),
        seed=seed,
        area_range=(0.08, 1.0),
        aspect_ratio_range=(3 / 4, 4 / 3),
        min_object_covered=0.0,
        use_image_if_no_bounding_boxes=True,
    )
    image = tf.image.resize(tf.slice(image, begin, size), [geometry.image_size] * 2, antialias=True)
    image = tf.image.stateless_random_flip_left_right(image, seed=seed + 1)
    return _to_uint8(image, geometry.image_size)
