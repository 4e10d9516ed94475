"""SHOT: "Do We Really Need to Access the Source Data?" (Liang et al., ICML 2020), its loss beside the source's.

    loss = mean_s CE + w [ mean_t H(p) - v H(mean_t p) + u mean_t CE(z, y) ]

The labels y are those of the nearest centroid by cosine. Centroids are, over what is remembered of the target, first
c_k = sum_i p_ik f_i / sum_i p_ik, then, once, the means of the images that are nearest to these. A class to which fewer
than `--shot_least` images fall is left out; with v = 0 that is the authors' form for partial targets. They label all
images between epochs and append a 1 to f, here labels follow what is remembered of unit features. C is the source's,
and learns on: the authors fix it, having no source.
"""

import tensorflow as tf

from gsda_tf.losses import conditional_entropy
from gsda_tf.methods.base import Batch, TermMethod, setting
from gsda_tf.methods.memory import MemoryTerm


def centroid_labels(
    queries: tf.Tensor, memory: tf.Tensor, predictions: tf.Tensor, least: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels by the nearest centroid of what is remembered.

    Args:
      queries: float32 [N, d], of length 1.
      memory: float32 [n, d], of length 1; zeros where nothing was seen yet.
      predictions: float32 [n, r]; likewise.
      least: images a class has to have.

    Returns:
      (labels int64 [N], whether there is any centroid, bool scalar).
    """
    seen = tf.reduce_any(predictions > 0, axis=1)
    soft = tf.math.l2_normalize(tf.matmul(predictions, memory, transpose_a=True), axis=1)  # the mass does not matter
    lowest = queries.dtype.min
    known = tf.reduce_sum(predictions, axis=0) > 0
    nearest = tf.argmax(tf.where(known, tf.matmul(memory, soft, transpose_b=True), lowest), axis=1)
    members = tf.one_hot(nearest, predictions.shape[1], dtype=memory.dtype) * tf.cast(seen, memory.dtype)[:, None]
    enough = tf.reduce_sum(members, axis=0) >= tf.cast(max(least, 1.0), memory.dtype)
    hard = tf.math.l2_normalize(tf.matmul(members, memory, transpose_a=True), axis=1)
    alike = tf.where(enough, tf.matmul(queries, hard, transpose_b=True), lowest)
    return tf.argmax(alike, axis=1), tf.reduce_any(enough)


class SHOTTerm(MemoryTerm):
    """Information maximization and labels by centroids, to be added."""

    name = "shot"
    replaces_entropy = True

    class Options:
        shot_weight: float = setting(0.3, "w, weight of all of it", minimum=0)
        shot_diversity: float = setting(1.0, "v, weight of the mean prediction's entropy; 0: partial", minimum=0)
        shot_label_weight: float = setting(0.3, "u, weight of the labels by centroids", minimum=0)
        shot_least: float = setting(0.0, "images that a class must have to be a label", minimum=0)

    def loss(self, b: Batch) -> tf.Tensor:
        options, logits = self.options, b.target_logits
        mean = b.total(tf.reduce_mean(tf.nn.softmax(logits), axis=0) / b.replicas)
        diversity = -tf.reduce_sum(mean * tf.math.log(mean + 1e-5))
        queries = tf.math.l2_normalize(tf.stop_gradient(b.target), axis=1)
        memory = (tf.convert_to_tensor(self.kept[name]) for name in ("features", "predictions"))
        labels, any_centroid = centroid_labels(queries, *memory, options.shot_least)
        labelled = b.mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        labelled = tf.where(any_centroid, labelled, tf.zeros_like(labelled))
        sure = b.mean(conditional_entropy(logits)) - options.shot_diversity * b.share(diversity)
        return options.shot_weight * (sure + options.shot_label_weight * labelled)


class SHOT(TermMethod):
    """Source cross-entropy, information maximization and labels by centroids."""

    name, title, term, Options = "shot", "SHOT", SHOTTerm, SHOTTerm.Options
