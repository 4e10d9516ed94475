"""Adversarial alignment of the domain, the groups and the classes: equations (6)-(9)."""

from __future__ import annotations

import tensorflow as tf


def class_probabilities(labels: tf.Tensor, target_logits: tf.Tensor, num_classes: int) -> tf.Tensor:
    """P: how much each sample belongs to each class, as (7) weighs it.

    Args:
      labels: int32 [Ns], of the source samples.
      target_logits: float32 [Nt, r], C's output for the target samples.
      num_classes: r.

    Returns:
      float32 [Ns + Nt, r], source first. One-hot for the source, softmax for the target. It carries no
      gradient: (17) moves C by L^c alone.
    """
    source = tf.one_hot(labels, num_classes, dtype=tf.float32)
    return tf.stop_gradient(tf.concat([source, tf.nn.softmax(target_logits)], axis=0))


def loss_weights(probabilities: tf.Tensor, membership: tf.Tensor) -> tf.Tensor:
    """W: how much each sample counts for each discriminator; p_i^q = sum of p_i^k over k in q, (8).

    Args:
      probabilities: float32 [N, r], rows sum to 1.
      membership: float32 [r, K], 0/1; a column of ones is the domain.

    Returns:
      float32 [K, N]. The domain's row is 1 up to rounding.
    """
    return tf.matmul(membership, probabilities, transpose_a=True, transpose_b=True)


def alignment_losses(weights: tf.Tensor, entropies: tf.Tensor, batch_size: int | tf.Tensor) -> tf.Tensor:
    """L_k of (6), (7) and (8): the weighted mean of H over the batch. Their sum is L^g + L^l, (9).

    Args:
      weights: float32 [K, N], W.
      entropies: float32 [K, N], H.
      batch_size: N of the global batch.

    Returns:
      float32 [K].
    """
    return tf.reduce_sum(weights * entropies, axis=-1) / tf.cast(batch_size, tf.float32)
