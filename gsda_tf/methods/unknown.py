"""Target images of no class of the source: which they are, and how they are answered. `--unknown=reject`.

Which: on the backbone's features before the first step, rows prepared as SPL's, each domain's mean taken off. With z of
length 1 and m_c the scaled means of the source's z by class,
    s_i = max_c cos(z_i, m_c), spread over a graph of the target's neighbours: s <- (1 - a) sum_n a^n G^n s, by rows
m_c takes in the mean of the target rows whose s reaches the least similarity, twice. What then does not reach it is
unknown. It is a cosine and follows from no label of the target.

How: what is unknown is not trained on, by no method, so that none pulls it to a class. Behind f stands, beside C, one
logit u that logistic regression fits to tell such rows from all others; the answer's are (z, max z + u). So the odds
of "unknown" against the best class are exp(u), and C's answers are as they were where u < 0.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from threadpoolctl import threadpool_limits

from gsda_tf.compat import tf_variable
from gsda_tf.data.domain import evenly
from gsda_tf.methods.closed_form import logistic_regression
from gsda_tf.methods.spl import Preparation, class_means, neighbour_graph, spread, unit

_LOOKS, _ROWS = 3, 20_000


@threadpool_limits.wrap(limits=1)  # see `Experiment.fit`
def find(source: np.ndarray, labels: np.ndarray, target: np.ndarray, num_classes: int, least: float) -> np.ndarray:
    """Finds what is of no class, bool [nt].

    Args:
      source: float32 [ns, e], features.
      labels: int [ns].
      target: float32 [nt, e].
      num_classes: r.
      least: similarity of what is of a class, -1..1.
    """
    prepared = Preparation.fit("root_centred", source, target)
    learnt = class_means(prepared(source, 0), labels, num_classes)
    z, unknown = prepared(target, 1), np.zeros(len(target), bool)
    parts = -(-len(z) // _ROWS)
    for rows in (np.arange(first, len(z), parts) for first in range(parts)):
        graph, means = neighbour_graph(z[rows]), learnt
        for _ in range(_LOOKS):
            near = z[rows].astype(np.float64) @ means.T
            smooth = spread(graph, np.concatenate([near, near.max(axis=1, keepdims=True)], axis=1))
            unknown[rows] = smooth[:, -1] < least
            kept = ~unknown[rows]
            means = unit(learnt + class_means(z[rows][kept], smooth[kept, :-1].argmax(axis=1), num_classes))
    return unknown


def with_logit(classifier: keras.Model, feature_units: int) -> tuple[keras.Model, Sequence[tf.Variable]]:
    """Puts u beside C.

    Args:
      classifier: C, f -> logits [N, r].
      feature_units: d.

    Returns:
      (f -> logits [N, r + 1], and the variables of u, kernel [d, 1] and bias [1], zeros).
    """
    features, layers = keras.Input([feature_units], dtype="float32"), keras.layers
    odds = layers.Dense(1, kernel_initializer="zeros", trainable=False, dtype="float32", name="unknown")
    logits = classifier(features)
    best = layers.GlobalMaxPooling1D(dtype="float32")(layers.Reshape([-1, 1], dtype="float32")(logits))
    last = layers.Add(dtype="float32")([best, odds(features)])
    answer = layers.Concatenate(dtype="float32")([logits, last])
    return keras.Model(features, answer, name="rejecting"), [*map(tf_variable, odds.variables)]


@threadpool_limits.wrap(limits=1)
def fitted(source: np.ndarray, target: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fits u to tell what is unknown of the target from the rest of it and from the source.

    Args:
      source: float32 [ns, d], f of some source images.
      target: float32 [nt, d].
      unknown: bool [nt].

    Returns:
      kernel float64 [d, 1] and bias [1].
    """
    some = evenly(len(target), _ROWS)
    rows = np.concatenate([source, target[some]]).astype(np.float64)
    which = np.concatenate([np.zeros(len(source), np.int64), unknown[some]])
    kernel, bias = logistic_regression(rows, which, 2)
    return kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
