"""Norms and distances that can be differentiated everywhere."""

from __future__ import annotations

import tensorflow as tf


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
