"""ATDOC: "Domain Adaptation with Auxiliary Target Domain-Oriented Classifier" (Liang et al., CVPR 2021), its NA form.

Of every target image are remembered f / |f| and its sharpened prediction, p_ik^2 / sum_i p_ik^2 over the batch,
scaled to sum 1 over classes. With the K nearest others by cosine and q_i the mean of what is remembered of them,
    y_i = argmax_k q_ik,   loss = w p sum_i q_{i y_i} CE(z_i, y_i) / sum_i q_{i y_i},   p = progress of the run
An image of which no neighbour was seen yet has no weight. What is remembered is the step's own pass through E, where
the authors' code runs the batch once more after the update.
"""

import tensorflow as tf

from gsda_tf.methods.base import Batch, TermMethod, setting
from gsda_tf.methods.memory import MemoryTerm


def sharpened(probabilities: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
    """p_ik^2 / sums_k, scaled to sum 1, float32 [N, r]; sums are those of p^2 over the whole batch, [r]."""
    sharp = tf.math.divide_no_nan(tf.square(probabilities), sums)
    return tf.math.divide_no_nan(sharp, tf.reduce_sum(sharp, axis=1, keepdims=True))


def neighbourhood_cross_entropy(logits: tf.Tensor, remembered: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(weighted cross-entropies, weights), each float32 [N], of logits [N, r] and what neighbours are, [N, K, r]."""
    mean = tf.stop_gradient(tf.reduce_mean(remembered, axis=1))
    weights = tf.reduce_max(mean, axis=1)
    labels = tf.argmax(mean, axis=1)
    return weights * tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), weights


class ATDOCTerm(MemoryTerm):
    """Labels by the neighbourhood, to be added."""

    name = "atdoc"
    replaces_entropy = True

    class Options:
        atdoc_weight: float = setting(1.0, "weight of the neighbourhoods' labels at the end of the run", minimum=0)
        atdoc_neighbours: int = setting(5, "K, neighbours that are asked", minimum=1, maximum=1000)

    def loss(self, b: Batch) -> tf.Tensor:
        remembered = self.neighbours(b, self.options.atdoc_neighbours)
        losses, weights = neighbourhood_cross_entropy(b.target_logits, remembered)
        share = tf.math.divide_no_nan(tf.reduce_sum(losses), b.total(tf.reduce_sum(weights)))
        return self.options.atdoc_weight * tf.cast(b.progress, share.dtype) * share

    def remembered(self, b: Batch) -> tf.Tensor:
        p = tf.nn.softmax(b.target_logits)
        return sharpened(p, b.total(tf.reduce_sum(tf.square(p), axis=0)))


class ATDOC(TermMethod):
    """Source cross-entropy and the neighbourhoods' labels."""

    name, title, term, Options = "atdoc", "ATDOC", ATDOCTerm, ATDOCTerm.Options
