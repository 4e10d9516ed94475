"""Several frozen backbones as one (`--extractor=densenet169,mobilenet`): their rows side by side, each of length 1."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf


def join(parts: Sequence[tuple[keras.Model, Callable, int]], image_size: int) -> keras.Model:
    """Joins backbones, of layers of Keras alone.

    Args:
      parts: (backbone, its preprocessing, the side of its images), two or more.
      image_size: S.

    Returns:
      float32 [N, S, S, 3] in 0..255 -> [N, e], e the sum of theirs.

    Raises:
      ValueError: a preprocessing is more than a linear map of each pixel's channels.
    """
    images, rows = keras.Input([image_size, image_size, 3], dtype="float32"), []
    for i, (backbone, preprocess, size) in enumerate(parts):
        x = images
        if size != image_size:
            x = keras.layers.Resizing(size, size, dtype="float32", name=f"resizing_{i}")(x)
        x = pooled(backbone(preprocessing_layer(preprocess, size, f"preprocessing_{i}")(x)), f"pool_{i}")
        rows.append(keras.layers.UnitNormalization(dtype="float32", name=f"length_{i}")(x))
    row = keras.layers.Concatenate(dtype="float32", name="row")(rows)
    return keras.Model(images, row, name="_".join(backbone.name for backbone, _, _ in parts))


def pooled(x, name: str = "pool"):
    """Averages a Keras tensor over what lies between the samples and the channels, by a layer."""
    pools = {3: keras.layers.GlobalAveragePooling1D, 4: keras.layers.GlobalAveragePooling2D}
    return pools[len(x.shape)](dtype="float32", name=name)(x) if len(x.shape) in pools else x


def preprocessing_layer(preprocess: Callable, size: int, name: str = "preprocessing") -> keras.layers.Layer:
    """Returns a preprocessing as a convolution of 1x1, found by asking it: what is published scales, shifts, turns RGB.

    Raises:
      ValueError: it is more than that.
    """
    probe = np.zeros([5, size, size, 3], np.float32)
    probe[[1, 2, 3], :, :, [0, 1, 2]] = 255.0
    probe[4] = np.random.default_rng(0).uniform(0, 255, probe[4].shape)
    out = np.asarray(preprocess(tf.constant(probe)))
    bias = out[0, 0, 0]
    kernel = (out[1:4, 0, 0] - bias) / 255.0
    if out.shape != probe.shape or not np.allclose(probe @ kernel + bias, out, rtol=1e-5, atol=1e-4 * np.ptp(out)):
        raise ValueError("its preprocessing is a program")
    layer = keras.layers.Conv2D(3, 1, trainable=False, dtype="float32", name=name)
    layer.build([None, size, size, 3])
    layer.set_weights([kernel[None, None], bias])
    return layer
