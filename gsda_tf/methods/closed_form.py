"""What TCA and GFK share: a linear map of the backbone's features, fitted once, and 1-NN on the source."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.methods.base import Method, Problem
from gsda_tf.models.classifier import NearestNeighbourHead
from gsda_tf.models.extractor import Extractor


class LinearMap(keras.layers.Layer):
    """x -> x A, rows of x and of the result scaled to length 1 if asked for. It takes the place of the bottleneck.

    Args:
      units_in: e.
      units_out: m.
      unit_length: whether rows are scaled, before and after.
    """

    def __init__(self, units_in: int, units_out: int, unit_length: bool):
        super().__init__(dtype="float32", name="bottleneck")
        self.unit_length = unit_length
        start = keras.initializers.Identity()
        self.matrix = self.add_weight(name="matrix", shape=(units_in, units_out), initializer=start, trainable=False)
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """float32 [N, m] of float32 [N, e]."""
        x = tf.math.l2_normalize(x, axis=1) if self.unit_length else x
        x = tf.matmul(x, tf.convert_to_tensor(self.matrix))
        return tf.math.l2_normalize(x, axis=1) if self.unit_length else x


class ClosedForm(Method):
    """Fitted, not trained."""

    phases = ()
    unit_length = False

    def __init__(self, problem: Problem, options: Any):
        super().__init__(problem, options)
        units = self.units(problem)
        self.map = LinearMap(problem.embedding_units, units, self.unit_length)
        self.classifier = NearestNeighbourHead(problem.num_source, units, problem.num_classes)
        backbone = problem.extractor
        self.extractor = Extractor(backbone.preprocess, backbone.backbone, self.map)
        self.kept = {"map": self.map}

    def units(self, problem: Problem) -> int:
        """m, width of the map's result."""
        raise NotImplementedError

    def matrix(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """A, float [e, m], of features [ns, e] and [nt, e]."""
        raise NotImplementedError

    def fit(self, source: np.ndarray, labels: np.ndarray, target: np.ndarray) -> None:
        tf_variable(self.map.matrix).assign(self.matrix(source.astype(np.float64), target.astype(np.float64)))
        tf_variable(self.classifier.anchors).assign(self.map(tf.constant(source)))
        tf_variable(self.classifier.labels).assign(labels)

    def deployed(self, extractor: keras.Model) -> tuple[keras.Model, keras.Model]:
        return self.extractor, self.classifier
