"""Schedules over the progress p = step / steps, 0..1. They take and give float32 tensors or floats."""

from __future__ import annotations

import tensorflow as tf


def learning_rate(initial: float, decay: float, progress: tf.Tensor | float) -> tf.Tensor:
    """initial (1 + decay p)^-0.75, as in DANN and CDAN."""
    return initial * tf.pow(1.0 + decay * tf.cast(progress, tf.float32), -0.75)
