"""Weights that rise over the progress p of a run, 0..1."""

from __future__ import annotations

import tensorflow as tf


def ramp_up(final: float, ramp: float, progress: tf.Tensor | float) -> tf.Tensor:
    """final (2 / (1 + exp(-ramp p)) - 1): from 0 to nearly `final`, as DANN's weight. A ramp of 0 means no ramp."""
    if ramp == 0:
        return tf.constant(final, tf.float32)
    return final * (2.0 / (1.0 + tf.exp(-ramp * tf.cast(progress, tf.float32))) - 1.0)
