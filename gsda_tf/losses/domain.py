"""Telling two domains apart: cross-entropy of discriminators, and the reversal of what it sends into the features."""

from __future__ import annotations

import tensorflow as tf


def domain_labels(num_source: int | tf.Tensor, num_target: int | tf.Tensor) -> tf.Tensor:
    """d_i: 1 for source, 0 for target; float32 [Ns + Nt]."""
    return tf.concat([tf.ones([num_source]), tf.zeros([num_target])], axis=0)


def discrimination_entropy(logits: tf.Tensor, domains: tf.Tensor) -> tf.Tensor:
    """H: sigmoid cross-entropy of every discriminator for every sample.

    Args:
      logits: float32 [K, N].
      domains: float32 [N], d_i.

    Returns:
      float32 [K, N].
    """
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.broadcast_to(domains, tf.shape(logits)), logits=logits)


@tf.function(autograph=False)  # see `methods.gsda.gradient_norms._logits_and_norms`
@tf.custom_gradient
def reverse_gradient(x: tf.Tensor, strength: tf.Tensor | float):
    """`x`, whose gradient is multiplied by -`strength`: gradient reversal (Ganin and Lempitsky, ICML 2015)."""
    return tf.identity(x), lambda gradient: (-tf.cast(strength, gradient.dtype) * gradient, None)
