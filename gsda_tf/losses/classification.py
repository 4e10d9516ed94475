"""Classification on the source, certainty on the target: equations (3)-(5)."""

from __future__ import annotations

import tensorflow as tf


def source_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Equation (3), one term a sample.

    Args:
      logits: float32 [Ns, r].
      labels: int32 [Ns].

    Returns:
      float32 [Ns].
    """
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def conditional_entropy(logits: tf.Tensor) -> tf.Tensor:
    """Equation (4), one term a sample: -sum_k p_k log p_k, finite and differentiable at p = 0.

    Args:
      logits: float32 [Nt, r].

    Returns:
      float32 [Nt], nats.
    """
    log_p = tf.nn.log_softmax(logits)
    return -tf.reduce_sum(tf.exp(log_p) * log_p, axis=-1)


def classification_loss(
    source_logits: tf.Tensor, labels: tf.Tensor, target_logits: tf.Tensor, alpha: tf.Tensor | float, replicas: int = 1
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Equation (5): mean of (3) plus alpha times mean of (4).

    Args:
      source_logits: float32 [Ns, r].
      labels: int32 [Ns].
      target_logits: float32 [Nt, r]; Nt may be 0, then (4) is 0.
      alpha: weight of the entropy.
      replicas: number of equal shares the global batch is split into, of which this is one: the results are
        this share's part of the global means.

    Returns:
      (L^c, mean of (3), mean of (4)), float32 scalars.
    """
    cross_entropy = tf.reduce_mean(source_cross_entropy(source_logits, labels)) / replicas
    entropy = tf.math.divide_no_nan(
        tf.reduce_sum(conditional_entropy(target_logits)), tf.cast(tf.shape(target_logits)[0] * replicas, tf.float32)
    )
    return cross_entropy + alpha * entropy, cross_entropy, entropy
