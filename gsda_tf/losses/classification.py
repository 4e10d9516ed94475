"""Classification on the source, certainty on the target: equations (3) and (4); (5) is their sum, in `GSDA.loss`."""

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
