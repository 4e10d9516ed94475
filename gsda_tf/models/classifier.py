"""The classifier C: equation (2) before its softmax; and heads of other forms."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from gsda_tf.losses import squared_distances


def build_classifier(
    feature_units: int, num_classes: int, hidden_units: Sequence[int] = (), name: str = "classifier"
) -> keras.Model:
    """Builds C: features float32 [N, d] -> logits float32 [N, r]; with hidden layers, ReLU between."""
    features = x = keras.Input([feature_units], dtype="float32")
    for units in hidden_units:
        x = keras.layers.Dense(units, activation="relu", dtype="float32")(x)
    logits = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(features, logits, name=name)


class MovedHead(keras.Model):
    """C with a number for each class that is added to its logits, 0 at first: `moved`, float32 [r].

    Args:
      classifier: C.
      num_classes: r.
    """

    def __init__(self, classifier: keras.Model, num_classes: int):
        super().__init__(dtype="float32", name="moved")
        self.classifier = classifier
        self.moved = self.add_weight(name="moved", shape=(num_classes,), initializer="zeros", trainable=False)
        self.built = True

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """float32 [N, r] of float32 [N, d]."""
        return self.classifier(features) + tf.convert_to_tensor(self.moved)


class NearestHead(keras.Model):
    """The logit of a class is the negative squared distance to its nearest anchor, divided by a temperature.

    Args:
      num_anchors: n; a prototype a class, or all of the source.
      feature_units: d.
      num_classes: r.
      temperature: of the softmax.
    """

    def __init__(self, num_anchors: int, feature_units: int, num_classes: int, temperature: float = 1.0):
        super().__init__(dtype="float32", name="nearest")
        self.num_classes, self.temperature = num_classes, temperature
        self.anchors = self.add_weight(
            name="anchors", shape=(num_anchors, feature_units), initializer="zeros", trainable=False
        )
        self.labels = self.add_weight(
            name="labels", shape=(num_anchors,), initializer="zeros", trainable=False, dtype="int32"
        )
        self.built = True

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """float32 [N, r] of float32 [N, d]. A class without anchor is farther than any other."""
        distances = squared_distances(features, tf.convert_to_tensor(self.anchors))
        nearest = tf.math.unsorted_segment_min(
            tf.transpose(distances), tf.convert_to_tensor(self.labels), self.num_classes
        )
        farthest = 2.0 * tf.reduce_max(distances) + 1.0
        return -tf.transpose(tf.minimum(nearest, farthest)) / self.temperature
