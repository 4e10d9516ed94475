"""E and C as a `tf.Module` with named signatures, what is exported; and requests that a server begins with."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from gsda_tf.compat import tf_variable
from gsda_tf.data import images
from gsda_tf.data.images import evaluation_pixels

MAX_BYTES = 150_000_000
"""An image whose pixels take more while they are decoded is a bad image: a header of 30 bytes must not make a server
reserve gigabytes. 50 million pixels of RGB, and fewer of 16 bits or with transparency.

Below the limit of training, whose images are the user's own: a request may come from anybody.
"""


class ServingModule(tf.Module):
    """E and C with their preprocessing.

    Args:
      extractor: E.
      classifier: C.
      class_names: r names.
      geometry: of the network's input.
      assets: paths of files to carry along.
      feature_units: e, where E takes features of another model; 0: it takes images.
      committee: (what the backbone makes of images float32 [N, e], answers int [N]) -> agreement float32 [N], with
        `models` that it asks; None: nothing is said of agreement.
      max_bytes: see `MAX_BYTES`.
    """

    def __init__(
        self,
        extractor: keras.Model,
        classifier: keras.Model,
        class_names: Sequence[str],
        geometry: images.ImageGeometry,
        assets: Sequence[str] = (),
        feature_units: int = 0,
        max_bytes: int = MAX_BYTES,
        committee: Callable | None = None,
    ):
        super().__init__(name="gsda")
        self._geometry, self._units = dataclasses.replace(geometry, max_bytes=max_bytes), feature_units
        size = geometry.image_size
        self._row = (feature_units,) if feature_units else (size, size, 3)
        spec = tf.TensorSpec([None, *self._row], tf.float32 if feature_units else tf.uint8)

        @tf.function(input_signature=[spec], autograph=False)
        def network(inputs):
            return answers(extractor, classifier, committee, inputs)

        # Traced once, for all ways in. The models themselves are no attributes: saving would trace each of their
        # layers, and what is wanted is the variables, whatever kind of Keras made them.
        self._network = network.get_concrete_function()
        models = [extractor, classifier, *(committee.models if committee else ())]
        self.weights = list({id(v): tf_variable(v) for model in models for v in model.variables}.values())
        self.names = tf.Variable(list(class_names), trainable=False, dtype=tf.string, name="class_names")
        self.files = [tf.saved_model.Asset(path) for path in assets]

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The ways in, by name.

        `serving_default`: image_bytes string [N], JPEG or PNG -> probabilities [N, r], label [N], score [N], and
        with a committee agreement [N].
        `images`: uint8 [N, H, W, 3] -> the same.
        `features`: image_bytes -> features [N, d], and the same.
        `class_names`: index int64 [N] -> class_name [N], empty past the last class.

        Loaded in Python, the module itself answers as `serving_default`, and `class_name` takes int32, too.

        Where E takes features: `serving_default` and `class_names` alone, the first with features float32 [N, e].
        """

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")], autograph=False)
        def features(image_bytes):
            return self._answer(*self._decode(image_bytes))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")], autograph=False)
        def serving_default(image_bytes):
            return _without_features(features.get_concrete_function()(image_bytes))

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "images")], autograph=False)
        def from_pixels(images):
            good = tf.ones(tf.shape(images)[:1], tf.bool)
            return _without_features(self._answer(evaluation_pixels(images, self._geometry), good))

        @tf.function(input_signature=[tf.TensorSpec([None, self._units], tf.float32, "features")], autograph=False)
        def from_features(features):
            good = tf.reduce_all(tf.math.is_finite(features), axis=1)
            return _without_features(self._answer(features, good))

        @tf.function(autograph=False)
        def class_names(index):
            names, index = tf.convert_to_tensor(self.names), tf.cast(index, tf.int64)
            known = (index >= 0) & (index < tf.size(names, tf.int64))
            return {"class_name": tf.where(known, tf.gather(names, tf.where(known, index, 0)), "")}

        ways = {"serving_default": serving_default, "images": from_pixels, "features": features}
        if self._units:
            ways = {"serving_default": from_features}
        named = [class_names.get_concrete_function(tf.TensorSpec([None], t, "index")) for t in (tf.int32, tf.int64)]
        # What Python calls on the loaded object.
        self.__call__, self.class_name = ways["serving_default"], class_names
        return {**{name: way.get_concrete_function() for name, way in ways.items()}, "class_names": named[1]}

    def _decode(self, image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes images in parallel, so that one that cannot be decoded takes no other down.

        `ignore_errors` of a data set is the only thing in a graph that survives a decoder's error. It drops the
        element, so each carries its row.

        Returns:
          (uint8 [N, S, S, 3], zeros where bad; bool [N], whether it was good).
        """
        count, size = tf.shape(image_bytes)[0], self._geometry.image_size

        def one(row: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return row, images.decoding(self._geometry)(record, tf.zeros([2], tf.int64))

        # The row past the last, so that there is a batch even if no image is good.
        spare = tf.data.Dataset.from_tensors((count, tf.zeros([size, size, 3], tf.uint8)))
        options = tf.data.Options()
        options.deterministic = False
        # Optimizing a pipeline takes longer than decoding an image, and would be done in every request.
        options.experimental_optimization.apply_default_optimizations = False
        options.autotune.enabled = False
        rows, decoded = (
            tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
            .map(one, num_parallel_calls=tf.data.AUTOTUNE)
            .ignore_errors()
            .concatenate(spare)
            .batch(tf.cast(count, tf.int64) + 1)
            .with_options(options)
            .get_single_element()
        )
        good = tf.scatter_nd(rows[:, None], tf.ones_like(rows), [count + 1]) > 0
        placed = tf.scatter_nd(rows[:, None], decoded, [count + 1, size, size, 3])
        return placed[:count], good[:count]

    def _answer(self, decoded: tf.Tensor, good: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tf.shape(decoded)[0]
        # Convolutions that were fused fail where there is no image.
        one = tf.zeros([tf.cast(tf.equal(count, 0), tf.int32), *self._row], decoded.dtype)
        said = {name: x[:count] for name, x in self._network(tf.concat([decoded, one], axis=0)).items()}
        label = tf.gather(tf.convert_to_tensor(self.names), tf.argmax(said["probabilities"], axis=-1))
        said["score"] = tf.reduce_max(said["probabilities"], axis=-1)
        wide = {1: good, 2: good[:, None]}
        said = {name: tf.where(wide[len(x.shape)], x, tf.zeros_like(x)) for name, x in said.items()}
        return {**said, "label": tf.where(good, label, "")}


def answers(
    extractor: keras.Model, classifier: keras.Model, committee: Callable | None, inputs: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Returns features [N, d] and probabilities [N, r] of inputs and, with a committee, its agreement [N]."""
    if committee is None:
        features = extractor(inputs, training=False)
        return {"features": features, "probabilities": tf.nn.softmax(classifier(features))}
    embedded = extractor.embed(inputs)
    said = answers(extractor, classifier, None, embedded)
    return {**said, "agreement": committee(embedded, tf.argmax(said["probabilities"], axis=-1))}


def _without_features(answer: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: value for name, value in answer.items() if name != "features"}


def write_warmup(model_dir: str, samples: Sequence[bytes] | np.ndarray, image_size: int) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests`: one image, then all of them, for each signature.

    TensorFlow Serving plays them when it loads a model, so that the first real request is fast.

    Args:
      model_dir: of a SavedModel.
      samples: encoded images, or features float32 [n, e].
      image_size: S, for the signature that takes pixels.
    """
    both = samples[:1], samples
    if isinstance(samples, np.ndarray):
        requests = [("serving_default", "features", values) for values in both]
    else:
        requests = [(way, "image_bytes", values) for way in ("serving_default", "features") for values in both]
        requests.append(("images", "images", np.zeros([1, image_size, image_size, 3], np.uint8)))
    folder = os.path.join(model_dir, "assets.extra")
    os.makedirs(folder, exist_ok=True)
    with tf.io.TFRecordWriter(os.path.join(folder, "tf_serving_warmup_requests")) as writer:
        for signature, name, values in requests:
            spec = model_pb2.ModelSpec(name="gsda", signature_name=signature)
            request = predict_pb2.PredictRequest(model_spec=spec, inputs={name: tf.make_tensor_proto(values)})
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
