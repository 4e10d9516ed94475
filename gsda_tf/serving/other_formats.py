"""E and C as one file of another kind, a Keras model or a TFLite one, asked before it is handed out.

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
from gsda_tf.errors import UserError
from gsda_tf.models.repeatable import plain
from gsda_tf.serving.fresh import fresh_process

FORMATS = ("saved_model", "keras", "tflite")
"""The first is what is served, see `export`."""

TOLERANCE = {"keras": 1e-5, "tflite": 1e-3}
"""Largest difference of a probability to the model in memory; kernels of TFLite add up in another order."""

# Runs in a process with TensorFlow alone: the files must not need this package, and TFLite's converter, which says a
# lot, may end a process.
_ASK = """
kind, made, question, answer = arguments
asked = np.load(question)
try:
    if kind == "keras":
        import keras
        if b"keras_hub" in zipfile.ZipFile(made).read("config.json"):
            import keras_hub
        said = keras.models.load_model(made).predict(asked, verbose=0)
    else:
        written = tf.lite.TFLiteConverter.from_saved_model("lite").convert()
        with open(made, "wb") as file:
            file.write(written)
        said = tf.lite.Interpreter(made).get_signature_runner()(inputs=asked)["probabilities"]
except Exception as error:
    sys.exit(" ".join(str(error).split())[:300] or type(error).__name__)
np.save(answer, said)
"""


def write(
    kind: str, extractor: keras.Model, classifier: keras.Model, aside: str, seen: np.ndarray, expected: np.ndarray
) -> tuple[str, float]:
    """Writes `aside/model.KIND` and asks it.

    Args:
      kind: "keras" or "tflite".
      extractor: E, which computes in float32.
      classifier: C, f -> logits.
      aside: an empty folder, or one whose files are called otherwise.
      seen: what it is asked, [n, S, S, 3] or [n, e].
      expected: what the model in memory says, float32 [n, r].

    Returns:
      (path of the file, largest difference of a probability).

    Raises:
      UserError: the networks have no such form, or answer otherwise in it.
    """
    path, question, answer = (os.path.join(aside, name) for name in (f"model.{kind}", "seen.npy", f"{kind}.npy"))
    np.save(question, np.asarray(seen, np.float32))
    with fresh_process(_ASK, aside) as fresh:
        if kind == "keras":
            try:
                one_model(extractor, classifier, seen.shape[1:]).save(path)
            except (NotImplementedError, TypeError, ValueError) as error:
                raise _refusal(kind, str(error)) from error
        else:
            _save(extractor, classifier, seen.shape[1:], os.path.join(aside, "lite"))
        fresh.ask([kind, path, question, answer])
        problem = fresh.end()
    if problem:
        raise _refusal(kind, problem)
    difference = float(np.abs(np.load(answer) - expected).max())
    if not difference <= TOLERANCE[kind]:  # also catches NaN
        raise _refusal(kind, f"probabilities differ by {difference:.2g}, at most {TOLERANCE[kind]:g} was expected")
    return path, difference


def _refusal(kind: str, reason: str) -> UserError:
    return UserError(
        f"This model has no right form as --format={kind} ({' '.join(reason.split())[:300]}): nothing was written. "
        "Expected one that has; every model has --format=saved_model."
    )


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


def _save(extractor: keras.Model, classifier: keras.Model, shape: Sequence[int], path: str) -> None:
    """Writes what TFLite's converter reads: a SavedModel of the two networks and nothing around them."""
    module = tf.Module()
    module.weights = [tf_variable(v) for model in (extractor, classifier) for v in model.variables]

    @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.float32, "inputs")], autograph=False)
    def ask(inputs):
        return {"probabilities": tf.nn.softmax(classifier(extractor(inputs, training=False)))}

    tf.saved_model.save(module, path, signatures=ask.get_concrete_function())
