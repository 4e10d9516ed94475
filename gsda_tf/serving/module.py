"""E and C as a `tf.Module` with named signatures: what is exported."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.data import images

LABEL_OF_BAD_IMAGE = ""
"""Label of a row whose image could not be decoded; its score is 0."""

MAX_PIXELS = 50_000_000
"""An encoded image with more pixels is a bad image: a header of 30 bytes must not make a server reserve gigabytes.

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
      max_pixels: encoded images with more are bad.
      feature_units: e, where E takes features of another model; 0: it takes images.
    """

    def __init__(
        self,
        extractor: keras.Model,
        classifier: keras.Model,
        class_names: Sequence[str],
        geometry: images.ImageGeometry,
        assets: Sequence[str] = (),
        max_pixels: int = MAX_PIXELS,
        feature_units: int = 0,
    ):
        super().__init__(name="gsda")
        self._extractor, self._classifier, self._geometry = extractor, classifier, geometry
        self._max_pixels, self._units = max_pixels, feature_units
        # What is saved: the variables by themselves, whatever kind of Keras made them.
        self.weights = [tf_variable(v) for model in (extractor, classifier) for v in model.variables]
        self.names = tf.Variable(list(class_names), trainable=False, dtype=tf.string, name="class_names")
        self.files = [tf.saved_model.Asset(path) for path in assets]

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The ways in, by name.

        `serving_default`: image_bytes string [N], JPEG or PNG -> probabilities [N, r], label [N], score [N].
        `images`: uint8 [N, H, W, 3] -> the same.
        `features`: image_bytes -> features [N, d], and the same.
        `class_names`: index int64 [N] -> class_name [N], empty past the last class.

        Loaded in Python, the module itself answers as `serving_default`, and `class_name` takes int32, too.

        Where E takes features: `serving_default` and `class_names` alone, the first with features float32 [N, e].
        """
        encoded = tf.TensorSpec([None], tf.string, "image_bytes")
        pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, "images")

        @tf.function(input_signature=[encoded], autograph=False)
        def features(image_bytes):
            return self._answer(*self._decode(image_bytes))

        @tf.function(input_signature=[encoded], autograph=False)
        def serving_default(image_bytes):
            answer = dict(features(image_bytes))
            del answer["features"]
            return answer

        @tf.function(input_signature=[pixels], autograph=False)
        def from_pixels(images):
            answer = self._answer(self._from_pixels(images), tf.ones(tf.shape(images)[:1], tf.bool))
            del answer["features"]
            return answer

        @tf.function(autograph=False)
        def class_names(index):
            names, index = tf.convert_to_tensor(self.names), tf.cast(index, tf.int64)
            known = (index >= 0) & (index < tf.size(names, tf.int64))
            return {"class_name": tf.where(known, tf.gather(names, tf.where(known, index, 0)), "")}

        @tf.function(input_signature=[tf.TensorSpec([None, self._units], tf.float32, "features")], autograph=False)
        def from_features(features):
            answer = self._answer(features, tf.reduce_all(tf.math.is_finite(features), axis=1))
            del answer["features"]
            return answer

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
            return row, images.decoding(self._geometry)(self._allowed(record), tf.zeros([2], tf.int64))

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

    def _allowed(self, record: tf.Tensor) -> tf.Tensor:
        """`record`, refused if it is neither JPEG nor PNG, or too large by its header."""

        def starts_with(magic: bytes) -> tf.Tensor:
            return tf.equal(tf.strings.substr(record, 0, len(magic)), magic)

        def png_shape() -> tf.Tensor:
            return tf.io.decode_raw(tf.strings.substr(record, 16, 8), tf.int32, little_endian=False)

        # Each further format is one more decoder that strangers reach; a GIF may hold frames without end.
        known = tf.debugging.Assert(starts_with(images.JPEG) | starts_with(images.PNG), ["neither JPEG nor PNG"])
        with tf.control_dependencies([known] if known is not None else []):
            shape = tf.cond(starts_with(images.JPEG), lambda: tf.io.extract_jpeg_shape(record)[:2], png_shape)
        pixels = tf.reduce_prod(tf.cast(shape, tf.int64))
        fine = tf.debugging.Assert((pixels > 0) & (pixels <= self._max_pixels), ["too many pixels"])
        with tf.control_dependencies([fine] if fine is not None else []):
            return tf.identity(record)

    def _from_pixels(self, batch: tf.Tensor) -> tf.Tensor:
        return images.evaluation_pixels(batch, self._geometry)

    def _answer(self, decoded: tf.Tensor, good: tf.Tensor) -> dict[str, tf.Tensor]:
        features = self._extractor(decoded, training=False)
        probabilities = tf.nn.softmax(self._classifier(features))
        best = tf.argmax(probabilities, axis=-1)
        label = tf.gather(tf.convert_to_tensor(self.names), best)
        return {
            "features": tf.where(good[:, None], features, tf.zeros_like(features)),
            "probabilities": tf.where(good[:, None], probabilities, tf.zeros_like(probabilities)),
            "label": tf.where(good, label, LABEL_OF_BAD_IMAGE),
            "score": tf.where(good, tf.reduce_max(probabilities, axis=-1), 0.0),
        }
