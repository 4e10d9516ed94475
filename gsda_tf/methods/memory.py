"""Shared by ATDOC, AaD and SHOT: features and predictions of every target image as they were seen last."""

import tensorflow as tf

from gsda_tf.methods.base import Batch, Problem, Term


class MemoryTerm(Term):
    """A loss by the neighbours of a batch's target images among all target images.

    What it remembers of an image is what E and C made of it in the step that it was in last, with C as it is after
    that step; zeros of an image that was in none. [num_target, d + r] floats: 0.5 GB for a million images at d = 128.
    """

    def build(self, problem: Problem) -> None:
        widths = {"features": problem.feature_units, "predictions": problem.num_classes}
        self.kept = {
            name: tf.Variable(tf.zeros([problem.num_target, width], tf.float32), trainable=False, name=f"memory_{name}")
            for name, width in widths.items()
        }

    def after(self, s) -> None:
        b = s.adapted
        if b is None:
            return
        s.remember(self.kept["features"], tf.math.l2_normalize(b.target, axis=1), b.target_indices)
        s.remember(self.kept["predictions"], self.remembered(b), b.target_indices)

    def remembered(self, b: Batch) -> tf.Tensor:
        """Returns what is kept of the predictions, float32 [Nt, r], of this replica's share."""
        return tf.nn.softmax(b.target_logits)

    def neighbours(self, b: Batch, count: int) -> tf.Tensor:
        """Returns what is remembered of the nearest images' predictions, float32 [Nt, K', r].

        Args:
          b: this replica's share.
          count: K, of the nearest by cosine, the image itself left out; K' is less where the target has fewer others.
        """
        features, predictions = (tf.convert_to_tensor(self.kept[name]) for name in ("features", "predictions"))
        return tf.gather(predictions, nearest(tf.stop_gradient(b.target), features, b.target_indices, count))


def nearest(features: tf.Tensor, memory: tf.Tensor, indices: tf.Tensor, count: int) -> tf.Tensor:
    """Places of the nearest rows of a memory, float [n, d] of length 1, by cosine: int32 [N, min(count, n - 1)].

    Args:
      features: float [N, d].
      memory: [n, d].
      indices: int64 [N], where each row itself lies in the memory, which is left out.
      count: K.
    """
    size = memory.shape[0]
    alike = tf.matmul(tf.math.l2_normalize(features, axis=1), memory, transpose_b=True)
    alike = tf.where(tf.one_hot(indices, size, on_value=True, off_value=False), alike.dtype.min, alike)
    return tf.math.top_k(alike, k=max(min(count, size - 1), 1)).indices
