"""E and C as a `tf.Module` with named signatures: what is exported."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.data import images

LABEL_OF_BAD_IMAGE = ""
"""Label of a row whose image could not be decoded; its score is 0."""


class ServingModule(tf.Module):
    """E and C with their preprocessing.

    Args:
      extractor: E.
      classifier: C.
      class_names: r names.
      geometry: of the network's input.
      assets: paths of files to carry along.
    """

    def __init__(
        self,
        extractor: keras.Model,
        classifier: keras.Model,
        class_names: Sequence[str],
        geometry: images.ImageGeometry,
        assets: Sequence[str] = (),
    ):
        super().__init__(name="gsda")
        self._extractor, self._classifier, self._geometry = extractor, classifier, geometry
        # What is saved: the variables by themselves, whatever kind of Keras made them.
        self.weights = [tf_variable(v) for model in (extractor, classifier) for v in model.variables]
        self.names = tf.Variable(list(class_names), trainable=False, dtype=tf.string, name="class_names")
        self.files = [tf.saved_model.Asset(path) for path in assets]

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The three ways in, by name."""
        encoded = tf.TensorSpec([None], tf.string, "image_bytes")
        pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, "images")

        @tf.function(input_signature=[encoded])
        def serving_default(image_bytes):
            decoded, good = self._decode(image_bytes)
            return self._answer(decoded, good)

        @tf.function(input_signature=[pixels])
        def from_pixels(images):
            decoded = self._from_pixels(images)
            return self._answer(decoded, tf.ones(tf.shape(images)[:1], tf.bool))

        @tf.function(input_signature=[encoded])
        def features(image_bytes):
            decoded, good = self._decode(image_bytes)
            f = self._extractor(decoded, training=False)
            return {"features": tf.where(good[:, None], f, tf.zeros_like(f))}

        return {
            "serving_default": serving_default.get_concrete_function(),
            "images": from_pixels.get_concrete_function(),
            "features": features.get_concrete_function(),
        }

    def _decode(self, image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes each image by itself, so that one that cannot be decoded takes no other down.

        `ignore_errors` of a data set of one image is the only thing in a graph that survives a decoder's error.

        Returns:
          (uint8 [N, S, S, 3], zeros where bad; bool [N], whether it was good).
        """
        size = self._geometry.image_size
        empty = (tf.zeros([size, size, 3], tf.uint8), tf.constant(False))

        def one(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            decoded = (
                tf.data.Dataset.from_tensors(record)
                .map(lambda r: (images.evaluation_image(r, True, self._geometry), tf.constant(True)))
                .ignore_errors()
            )
            return decoded.reduce(empty, lambda _, new: new)

        return tf.map_fn(
            one,
            image_bytes,
            fn_output_signature=(tf.TensorSpec([size, size, 3], tf.uint8), tf.TensorSpec([], tf.bool)),
            parallel_iterations=16,
        )

    def _from_pixels(self, batch: tf.Tensor) -> tf.Tensor:
        size = self._geometry.image_size
        return tf.map_fn(
            lambda image: images.evaluation_image(image, False, self._geometry),
            batch,
            fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8),
        )

    def _answer(self, decoded: tf.Tensor, good: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = tf.nn.softmax(self._classifier(self._extractor(decoded, training=False)))
        best = tf.argmax(probabilities, axis=-1)
        label = tf.gather(tf.convert_to_tensor(self.names), best)
        return {
            "probabilities": tf.where(good[:, None], probabilities, tf.zeros_like(probabilities)),
            "label": tf.where(good, label, LABEL_OF_BAD_IMAGE),
            "score": tf.where(good, tf.reduce_max(probabilities, axis=-1), 0.0),
        }
