"""Stochastic gradient descent as the field's recipes mean it, for one device or many.

Why not Keras's: its weight decay is decoupled from the momentum, unlike the recipes that everybody publishes;
under a strategy its two generations add up gradients in different places; and its loss scaling in Keras 3
looks at one replica's gradients only. What is left to do is one fused kernel a variable.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from gsda_tf.compat import tf_variable, variable_name


class MomentumSGD(tf.Module):
    """v <- mu v + (g + wd w);  w <- w - lr ((g + wd w) + mu v), Nesterov's form as in PyTorch's SGD.

    Create it under the strategy's scope. Its velocities are checkpointed with it.

    Args:
      variables: of a model, Keras's or TensorFlow's.
      momentum: mu.
      weight_decay: wd, for kernels; biases and batch norm have none.
      rate: share of the learning rate that these variables get.
    """

    def __init__(self, variables: Sequence, momentum: float, weight_decay: float, rate: float = 1.0):
        super().__init__(name="momentum_sgd")
        self._variables = [tf_variable(v) for v in variables]
        self._decays = [weight_decay if "kernel" in variable_name(v) else 0.0 for v in variables]
        self._momentum, self._rate = momentum, rate
        self.velocities = [
            tf.Variable(tf.zeros_like(v), trainable=False, name=f"velocity_{i}") for i, v in enumerate(self._variables)
        ]

    def apply(
        self, gradients: Sequence[tf.Tensor | None], learning_rate: tf.Tensor, apply_if: tf.Tensor | None = None
    ) -> None:
        """Updates the variables, in a replica context.

        Args:
          gradients: this replica's share; the shares are added up here, once.
          learning_rate: float32 scalar.
          apply_if: bool scalar, the same on every replica; False leaves variables and velocities alone.
        """
        dense = [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, self._variables)]
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync == 1:
            for variable, velocity, gradient, decay in zip(self._variables, self.velocities, dense, self._decays):
                self._update(variable, velocity, gradient, decay, learning_rate, apply_if)
            return
        dense = context.all_reduce(tf.distribute.ReduceOp.SUM, dense)
        context.merge_call(self._update_replicas, args=(dense, learning_rate, apply_if))

    def _update_replicas(self, strategy, gradients, learning_rate, apply_if) -> None:
        for variable, velocity, gradient, decay in zip(self._variables, self.velocities, gradients, self._decays):
            strategy.extended.update(
                variable, self._update, args=(velocity, gradient, decay, learning_rate, apply_if), group=False
            )

    def _update(self, variable, velocity, gradient, decay, learning_rate, apply_if) -> None:
        def update() -> tf.Tensor:
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle,
                accum=velocity.handle,
                lr=learning_rate * self._rate,
                grad=gradient + decay * variable if decay else gradient,
                momentum=self._momentum,
                use_nesterov=True,
            )
            return tf.constant(True)

        if apply_if is None:
            update()
        else:
            tf.cond(apply_if, update, lambda: tf.constant(False))
