"""Shared by TCA and GFK: a linear map of the features, fitted once, and a classifier of the source behind it."""

from __future__ import annotations

import keras
import numpy as np
import sklearn.linear_model
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.errors import UserError
from gsda_tf.methods.base import Method, setting
from gsda_tf.models.classifier import NearestHead, build_classifier
from gsda_tf.models.extractor import Extractor

_PENALTY, _ROUNDS = 1 / 3000, 1000
"""Of half of the squared weights, beside the mean loss; and iterations of the fit at most."""
_NEVER = -1e4


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


def logistic_regression(
    z: np.ndarray, labels: np.ndarray, num_classes: int, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fits a softmax of rows z [n, m], which may have weights [n], to labels; rows are scaled to a mean square of 1 for
    its penalty.

    Returns:
      (kernel float64 [m, r], bias [r]). A class without sample is never the answer.
    """
    kernel, bias = np.zeros([z.shape[1], num_classes]), np.full(num_classes, _NEVER)
    classes = np.unique(labels)
    if len(classes) == 1:  # nothing to tell apart
        bias[classes] = 0.0
        return kernel, bias
    scale = max(float(np.sqrt(np.mean(z**2))), 1e-12)
    rows = len(z) if weights is None else weights.sum()
    model = sklearn.linear_model.LogisticRegression(C=1 / (_PENALTY * rows), max_iter=_ROUNDS)
    fitted = model.fit(z / scale, labels, weights)
    slopes, offsets = fitted.coef_ / scale, fitted.intercept_
    if len(classes) == 2:  # it fits their difference
        slopes, offsets = np.stack([0 * slopes[0], slopes[0]]), np.stack([0 * offsets[0], offsets[0]])
    kernel[:, classes], bias[classes] = slopes.T, offsets
    return kernel, bias


class Fitted(Method):
    """A map of the backbone's features and a classifier, fitted to both domains and not trained."""

    phases = ()
    weak = {"scratch": "it works on what a network that is not trained makes of the images"}

    def place(self, map: keras.layers.Layer, classifier: keras.Model) -> None:
        """Puts the map in the place of the bottleneck, and the classifier behind it."""
        backbone = self.problem.extractor
        self.map, self.classifier = map, classifier
        self.extractor = Extractor(backbone.preprocess, backbone.backbone, map)
        self.kept = {"map": map}

    def deployed(self, extractor: keras.Model) -> tuple[keras.Model, keras.Model]:
        return self.extractor, self.classifier


class ClosedForm(Fitted):
    """A linear map."""

    unit_length = False

    class Options:
        mapped_classifier: str = setting(
            "linear", "classifier of the mapped features: linear, or the nearest neighbour as published",
            choices=("linear", "nearest"),
        )  # fmt: skip

    def build(self) -> None:
        problem, units, r = self.problem, self.units(), self.problem.num_classes
        nearest = self.options.mapped_classifier == "nearest"
        head = NearestHead(problem.num_source, units, r) if nearest else build_classifier(units, r)
        self.place(LinearMap(problem.embedding_units, units, self.unit_length), head)

    def units(self) -> int:
        """m, width of the map's result."""
        raise NotImplementedError

    def matrix(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """A, float [e, m], of features [ns, e] and [nt, e]."""
        raise NotImplementedError

    def fit(self, source: np.ndarray, labels: np.ndarray, target: np.ndarray) -> None:
        tf_variable(self.map.matrix).assign(self.matrix(source.astype(np.float64), target.astype(np.float64)))
        mapped, taught = self.map(tf.constant(source)), self.problem.taught
        if self.options.mapped_classifier == "nearest":
            if taught is not None:
                raise UserError("--mapped_classifier=nearest takes no labels of the target: leave it out.")
            values = mapped, labels  # its anchors, and theirs
        else:
            rows, weights = mapped.numpy().astype(np.float64), None
            if taught is not None:  # they weigh as much as the source, however few they are
                given = np.flatnonzero(taught >= 0)
                weights = np.repeat([1.0, len(rows) / len(given)], [len(rows), len(given)])
                rows = np.concatenate([rows, self.map(tf.constant(target[given])).numpy()])
                labels = np.concatenate([labels, taught[given]])
            values = logistic_regression(rows, labels, self.problem.num_classes, weights)
        for variable, value in zip(self.classifier.variables, values):
            tf_variable(variable).assign(tf.cast(value, variable.dtype))
