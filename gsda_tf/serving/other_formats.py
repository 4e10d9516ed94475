"""E and C as one file of another kind, a Keras model or a TFLite one.

Both take float32 [N, S, S, 3] in 0..255, images of the network's own size, or the features that E takes, float32
[N, e], and give probabilities float32 [N, r].
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.models.repeatable import plain

FORMATS = ("saved_model", "keras", "tflite")
"""The first is what is served, see `export`."""


def write(kind: str, extractor: keras.Model, classifier: keras.Model, shape: Sequence[int], path: str) -> None:
    """Writes a Keras model to `path`, or beside it, as `lite`, the SavedModel that TFLite's converter reads.

    Args:
      kind: "keras" or "tflite".
      extractor: E, which computes in float32.
      classifier: C, f -> logits.
      shape: of one input, [S, S, 3] or [e].
      path: of the file.

    Raises:
      NotImplementedError, TypeError, ValueError: the networks have no such form.
    """
    if kind == "keras":
        one_model(extractor, classifier, shape).save(path)
        return
    module = tf.Module()
    module.weights = [tf_variable(v) for model in (extractor, classifier) for v in model.variables]

    @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.float32, "inputs")], autograph=False)
    def ask(inputs):
        return {"probabilities": tf.nn.softmax(classifier(extractor(inputs, training=False)))}

    tf.saved_model.save(module, os.path.join(os.path.dirname(path), "lite"), signatures=ask.get_concrete_function())


def one_model(extractor: keras.Model, classifier: keras.Model, shape: Sequence[int]) -> keras.Model:
    """Returns layers of Keras alone, from images [N, S, S, 3] in 0..255, or features [N, e], to probabilities [N, r].

    Raises:
      ValueError: the preprocessing is more than a linear map of each pixel's channels.
    """
    inputs = x = keras.Input(shape, dtype="float32")
    if len(shape) == 3:
        x = _preprocessing(extractor.preprocess, shape[0])(x)
    x = plain(extractor.backbone)(x)
    pools = {3: keras.layers.GlobalAveragePooling1D, 4: keras.layers.GlobalAveragePooling2D}
    if len(x.shape) in pools:
        x = pools[len(x.shape)](dtype="float32", name="pool")(x)
    logits = classifier(extractor.bottleneck(x))
    return keras.Model(inputs, keras.layers.Softmax(dtype="float32", name="probabilities")(logits), name="gsda")


def _preprocessing(preprocess: Callable, size: int) -> keras.layers.Layer:
    """The preprocessing as a convolution of 1x1, found by asking it: what is published scales, shifts and turns RGB."""
    probe = np.zeros([5, size, size, 3], np.float32)
    probe[[1, 2, 3], :, :, [0, 1, 2]] = 255.0
    probe[4] = np.random.default_rng(0).uniform(0, 255, probe[4].shape)
    out = np.asarray(preprocess(tf.constant(probe)))
    bias = out[0, 0, 0]
    kernel = (out[1:4, 0, 0] - bias) / 255.0
    if out.shape != probe.shape or not np.allclose(probe @ kernel + bias, out, rtol=1e-5, atol=1e-4 * np.ptp(out)):
        raise ValueError("its preprocessing is a program")
    layer = keras.layers.Conv2D(3, 1, trainable=False, dtype="float32", name="preprocessing")
    layer.build([None, size, size, 3])
    layer.set_weights([kernel[None, None], bias])
    return layer
