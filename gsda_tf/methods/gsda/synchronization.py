"""Hierarchical gradient synchronization: equations (10)-(12)."""

from __future__ import annotations

import tensorflow as tf

from gsda_tf.methods.gsda.hierarchy import Hierarchy


def gradient_magnitudes(weights: tf.Tensor, slopes: tf.Tensor, batch_size: int | tf.Tensor) -> tf.Tensor:
    """S_k: the sum over samples of the norm of dL_k/df_i, the terms of (10) and (11).

    W is constant and not negative, so it factors out of the norm.

    Args:
      weights: float32 [n, m], W.
      slopes: float32 [n, m], ||dH[k, i]/df_i||, `gradient_norms`.
      batch_size: N of the global batch.

    Returns:
      float32 [n].
    """
    return tf.reduce_sum(weights * slopes, axis=-1) / tf.cast(batch_size, tf.float32)


def level_differences(magnitudes: tf.Tensor, hierarchy: Hierarchy) -> dict[str, tf.Tensor]:
    """S_q minus the sum of S over its children, for every level but the finest.

    Args:
      magnitudes: [K], S over the *global* batch: the absolute value that follows is not linear, so shares of
        a batch have to be added up before.
      hierarchy: L levels.

    Returns:
      One entry for each of the L - 1 upper levels, by name: [n_level].
    """
    parts = list(hierarchy.slices.values())
    return {
        level.name: magnitudes[parts[i]]
        - tf.linalg.matvec(tf.cast(hierarchy.below[i], magnitudes.dtype), magnitudes[parts[i + 1]])
        for i, level in enumerate(hierarchy.levels[:-1])
    }


def synchronization_loss(magnitudes: tf.Tensor, hierarchy: Hierarchy) -> tf.Tensor:
    """L^syn: (12), the mean of (10) over the groups plus (11); for more levels, a mean for each neighbouring pair.

    Args:
      magnitudes: [K], S over the global batch.
      hierarchy: its levels.

    Returns:
      Scalar; 0 for a hierarchy of one level.
    """
    differences = level_differences(magnitudes, hierarchy).values()
    return tf.add_n([tf.reduce_mean(tf.abs(d)) for d in differences]) if differences else tf.zeros([], magnitudes.dtype)
