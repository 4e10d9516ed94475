"""The scaling of images that a saved network expects, told by what it does to them before its first weights."""

from __future__ import annotations

import keras
import tensorflow as tf

_RANGES = {"none": (0.0, 255.0), "zero_to_one": (0.0, 1.0), "minus_one_to_one": (-1.0, 1.0)}
_STATISTICS = (keras.layers.Normalization, keras.layers.BatchNormalization)


def expected_preprocessing(model: keras.Model, image_size: int) -> str | None:
    """Returns the preprocessing that a network expects, told by how it scales images itself.

    Layers such as `Rescaling` and `Normalization`, and arithmetic, count, at its head or at that of a network in it.

    Args:
      model: functional or sequential, float32 [N, S, S, 3] -> anything.
      image_size: S.

    Returns:
      "none" (it is given 0..255), "zero_to_one" or "minus_one_to_one"; None if it scales nothing, or in no usual way.
    """
    values = tf.reshape(tf.constant([0.0, 1.0]), [2, 1, 1, 1])
    try:
        out = _head(model, tf.broadcast_to(values, [2, image_size, image_size, 3]))
    except (ValueError, TypeError, KeyError, AttributeError, tf.errors.OpError):
        return None
    if out is None or len(out.shape) != 4:
        return None
    zero, one = (float(x) for x in tf.reduce_mean(out[:, out.shape[1] // 2, out.shape[2] // 2], axis=-1))
    if abs(one - zero - 1.0) < 0.01 and abs(zero) < 0.01:
        return None
    best = None, 0.6
    for name, (low, high) in _RANGES.items():
        low, high = zero + (one - zero) * low, zero + (one - zero) * high
        spread, off = abs(high - low), abs(high + low) / 2 / (abs(high - low) or 1.0)
        # Not only small numbers: the older networks of keras.applications take the mean off, and leave 0..255 as it is.
        if (0.8 <= spread <= 8.0 or (name == "none" and spread > 200.0 and off < 0.2)) and off < best[1]:
            best = name, off
    return best[0]


def _head(model: keras.Model, images: tf.Tensor) -> tf.Tensor | None:
    """Computes what the first layer with weights gets of images; None if there is none."""
    seen = images
    for part in getattr(model, "operations", model.layers):  # arithmetic of Keras 3 is no layer
        nested = isinstance(part, keras.Model)
        passed = isinstance(part, _STATISTICS) or type(part).__name__.startswith("Random")
        if not passed and getattr(part, "weights", ()):
            return _head(part, seen) if nested else seen
        # A network in a network does not know its output here.
        seen = part(seen, training=False) if nested else keras.Model(model.inputs, part.output)(images, training=False)
    return None
