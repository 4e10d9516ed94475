"""Maximum mean discrepancy with several Gaussian kernels."""

from __future__ import annotations

import tensorflow as tf

from gsda_tf.losses.norms import squared_distances

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths of the five kernels, as multiples of the mean squared distance."""


def gaussian_kernels(distances: tf.Tensor, scales: tuple[float, ...] = SCALES) -> tf.Tensor:
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


def quadratic(kernel: tf.Tensor, num_source: int) -> tf.Tensor:
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


def linear(kernel: tf.Tensor, num_source: int) -> tf.Tensor:
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


ESTIMATES = {"quadratic": quadratic, "linear": linear}


def joined_distances(x: tf.Tensor) -> tf.Tensor:
    """||x_i - x_j||^2, float32 [n, n]; exactly 0 on the diagonal."""
    distances = squared_distances(x, x)
    return tf.linalg.set_diag(distances, tf.zeros_like(distances[:, 0]))
