"""Formulas that several methods share: equations (3) and (4) of GSDA, critics of domains, ramps, distances, MMD."""

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


def safe_norm(x: tf.Tensor) -> tf.Tensor:
    """Euclidean norm over the last axis whose gradient is 0, not NaN, at 0.

    The double `where` keeps the square root away from 0 in the backward pass too: a discriminator that is
    sure of itself has a slope that underflows to exactly 0.
    """
    square = tf.reduce_sum(tf.square(x), axis=-1)
    positive = square > 0
    root = tf.sqrt(tf.where(positive, square, tf.ones_like(square)))
    return tf.where(positive, root, tf.zeros_like(square))


def squared_distances(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """||x_i - y_j||^2, float32 [n, m], never negative, of x [n, d] and y [m, d]."""
    square = tf.reduce_sum(tf.square(x), 1)[:, None] + tf.reduce_sum(tf.square(y), 1)
    return tf.maximum(square - 2.0 * tf.matmul(x, y, transpose_b=True), 0.0)


def ramp_up(final: float, ramp: float, progress: tf.Tensor | float) -> tf.Tensor:
    """final (2 / (1 + exp(-ramp p)) - 1): from 0 to nearly `final`, as DANN's weight. A ramp of 0 means no ramp."""
    if ramp == 0:
        return tf.constant(final, tf.float32)
    return final * (2.0 / (1.0 + tf.exp(-ramp * tf.cast(progress, tf.float32))) - 1.0)


MMD_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths of the five kernels, as multiples of the mean squared distance."""


def gaussian_kernels(distances: tf.Tensor, scales: tuple[float, ...] = MMD_SCALES) -> tf.Tensor:
    """Sum of exp(-distance / (scale * bandwidth)), the bandwidth the mean over pairs of different samples, stopped:
    else the network could shrink the loss by scaling its features.

    Args:
      distances: squared, float32 [n, n], source and target joined.

    Returns:
      float32 [n, n].
    """
    n = tf.cast(tf.shape(distances)[0], distances.dtype)
    bandwidth = tf.stop_gradient(tf.reduce_sum(distances) / (n * (n - 1.0)))
    # Where all samples are one and the same every kernel is 1, whatever the bandwidth.
    bandwidth = tf.where(bandwidth > 0, bandwidth, tf.ones_like(bandwidth))
    return tf.add_n([tf.exp(-distances / (scale * bandwidth)) for scale in scales])


def mmd_quadratic(kernel: tf.Tensor, num_source: int) -> tf.Tensor:
    """The unbiased estimate of MMD^2 over all pairs; it can be negative. A domain of one sample has no pair: 0.

    Args:
      kernel: float32 [n, n], source first.
      num_source: Ns.
    """
    source, target = kernel[:num_source, :num_source], kernel[num_source:, num_source:]
    cross = kernel[:num_source, num_source:]

    def pairs(block: tf.Tensor) -> tf.Tensor:
        n = block.shape[0]
        return (tf.reduce_sum(block) - tf.linalg.trace(block)) / max(n * (n - 1), 1)

    return pairs(source) + pairs(target) - 2.0 * tf.reduce_mean(cross)


def mmd_linear(kernel: tf.Tensor, num_source: int) -> tf.Tensor:
    """The estimate over neighbouring samples alone, cyclic, for batches of equal size; of higher variance.

    Args:
      kernel: float32 [2 n, 2 n], source first.
      num_source: n.
    """
    n = num_source
    here = tf.range(n)
    there = (here + 1) % n

    def at(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        return tf.gather_nd(kernel, tf.stack([rows, columns], axis=1))

    both = at(here, there) + at(here + n, there + n) - at(here, there + n) - at(there, here + n)
    return tf.reduce_mean(both)


MMD_ESTIMATES = {"quadratic": mmd_quadratic, "linear": mmd_linear}


def joined_distances(x: tf.Tensor) -> tf.Tensor:
    """||x_i - x_j||^2, float32 [n, n]; exactly 0 on the diagonal."""
    distances = squared_distances(x, x)
    return tf.linalg.set_diag(distances, tf.zeros_like(distances[:, 0]))
