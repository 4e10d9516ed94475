"""Labels of some target images that the user handed over, as a term: their cross-entropy beside the source's.

    loss = w sum_i CE(z_i, y_i) / n over the n images of the target batch that have one

A share of each target batch is drawn from them, in balance over classes (`data.batches`), so that the term weighs the
same from one label a class to hundreds.
"""

import tensorflow as tf

from gsda_tf.methods.base import Batch, Problem, Term


class TaughtTerm(Term):
    """Added by itself to whatever is trained; it has no class attribute `name`, so that `--add` does not list it.

    Args:
      weight: w.
    """

    def __init__(self, weight: float):
        super().__init__(None)
        self.name, self._weight = "target_labels", weight

    def build(self, problem: Problem) -> None:
        self._labels = tf.constant(problem.taught, tf.int32)

    def loss(self, b: Batch) -> tf.Tensor:
        labels, logits = tf.gather(self._labels, b.target_indices), b.target_logits
        known = tf.cast(labels >= 0, logits.dtype)
        losses = known * tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
        return self._weight * tf.reduce_sum(losses) / tf.maximum(b.total(tf.reduce_sum(known)), 1.0)
