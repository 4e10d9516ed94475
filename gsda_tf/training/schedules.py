"""Schedules over the progress p = step / steps, 0..1. They take and give float32 tensors or floats."""

from __future__ import annotations

import tensorflow as tf


def learning_rate(initial: float, decay: float, progress: tf.Tensor | float) -> tf.Tensor:
    """initial (1 + decay p)^-0.75, as in DANN and CDAN."""
    return initial * tf.pow(1.0 + decay * tf.cast(progress, tf.float32), -0.75)


def ramp_up(final: float, ramp: float, progress: tf.Tensor | float) -> tf.Tensor:
    """final (2 / (1 + exp(-ramp p)) - 1): from 0 to nearly `final`, as DANN's weight. A ramp of 0 means no ramp."""
    if ramp == 0:
        return tf.constant(final, tf.float32)
    return final * (2.0 / (1.0 + tf.exp(-ramp * tf.cast(progress, tf.float32))) - 1.0)
