"""Loss scaling for float16.

The heads are float32, so only the backbone's backward pass needs a scale: the gradient that enters it is
multiplied, what comes out is divided again before anything else happens to it. The heads' losses are never
scaled, and |S - sum S| stays what it is.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def finite_everywhere(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns whether all the tensors are finite on every replica; bool scalar, the same on all of them."""
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(t)) for t in tensors])
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        bad = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(~finite, tf.float32))
        finite = tf.equal(bad, 0.0)
    return finite


def finite_or_zero(features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Zeros in place of features that overflowed on any replica, so that losses of a step that will be skipped
    stay finite; and whether they were finite."""
    finite = finite_everywhere([features])
    return tf.where(finite, features, tf.zeros_like(features)), finite


class LossScale(tf.Module):
    """A scale that halves on overflow and doubles after `period` good steps. Checkpointed.

    Args:
      initial: first scale.
      period: good steps before the scale is doubled.
    """

    def __init__(self, initial: float = 2.0**15, period: int = 2000):
        super().__init__(name="loss_scale")
        options = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self.value = tf.Variable(initial, dtype=tf.float32, name="value", **options)
        self.good_steps = tf.Variable(0, dtype=tf.int64, name="good_steps", **options)
        self._period = period

    def scale(self, gradient: tf.Tensor) -> tf.Tensor:
        """The gradient that goes into the backbone."""
        return gradient * self.value

    def unscale(self, gradients: Any, forward_finite: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """Divides again and moves the scale.

        Args:
          gradients: what came out of the backbone's backward pass, in any nesting; None where there is none.
          forward_finite: bool scalar, whether the features were finite on every replica.

        Returns:
          (gradients, whether they are finite on *every* replica). Where they are not they are zeros, so that
          nothing that adds them up spreads an infinity.
        """
        gradients = tf.nest.map_structure(lambda g: None if g is None else g / self.value, gradients)
        finite = forward_finite & finite_everywhere([g for g in tf.nest.flatten(gradients) if g is not None])
        gradients = tf.nest.map_structure(
            lambda g: None if g is None else tf.where(finite, g, tf.zeros_like(g)), gradients
        )
        full = self.good_steps + 1 >= self._period
        grown = tf.where(full, tf.minimum(self.value * 2.0, 2.0**24), self.value)
        self.value.assign(tf.where(finite, grown, tf.maximum(self.value / 2.0, 1.0)))
        self.good_steps.assign(tf.where(finite & ~full, self.good_steps + 1, tf.zeros_like(self.good_steps)))
        return gradients, finite
