"""E and C as one file of another kind, a Keras model or a TFLite one.

Both take float32 [N, S, S, 3] in 0..255, images of the network's own size, or the features that E takes, float32
[N, e], and give probabilities float32 [N, r].
"""

import os
from collections.abc import Sequence

import keras
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.models.joined import pooled, preprocessing_layer
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
      ValueError: the preprocessing is more than a linear map of each pixel's channels; what stands behind the backbone
        is more than layers of Keras.
    """
    if own := [type(x).__name__ for x in (extractor.bottleneck, classifier) if "gsda_tf" in type(x).__module__]:
        raise ValueError(f"{' and '.join(own)} of its method are more than layers of Keras")
    inputs = x = keras.Input(shape, dtype="float32")
    if len(shape) == 3:
        x = preprocessing_layer(extractor.preprocess, shape[0])(x)
    x = pooled(plain(extractor.backbone)(x))
    logits = classifier(extractor.bottleneck(x))
    return keras.Model(inputs, keras.layers.Softmax(dtype="float32", name="probabilities")(logits), name="gsda")
