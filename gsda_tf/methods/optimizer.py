"""Stochastic gradient descent and Adam as the field's recipes mean them, for one device or many.

Why not Keras's: its weight decay is decoupled from the momentum, unlike the recipes that everybody publishes;
under a strategy its two generations add up gradients in different places; and its loss scaling in Keras 3
looks at one replica's gradients only. What is left to do is one fused kernel a variable.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf

from gsda_tf.compat import tf_variable, variable_name


def learning_rate(initial: float, decay: float, progress: tf.Tensor | float) -> tf.Tensor:
    """initial (1 + decay p)^-0.75 at the progress p = step / steps, 0..1, as in DANN and CDAN; float32."""
    return initial * tf.pow(1.0 + decay * tf.cast(progress, tf.float32), -0.75)


class Optimizer(tf.Module):
    """Shared by both: gradients are summed over replicas once, and each variable is updated with its own state.

    Create it under the strategy's scope.

    Args:
      variables: of a model, Keras's or TensorFlow's.
      rate: share of the learning rate that these variables get.

    Attributes:
      velocities: its state, checkpointed with it.
    """

    def __init__(self, variables: Sequence, rate: float):
        super().__init__()
        self._variables = [tf_variable(v) for v in variables]
        self._rate = rate
        self._slots = [self._slots_of(v, i) for i, v in enumerate(self._variables)]
        self.velocities = [slot for slots in self._slots for slot in slots]

    def apply(
        self, gradients: Sequence[tf.Tensor | None], learning_rate: tf.Tensor, apply_if: tf.Tensor | None = None
    ) -> None:
        """Updates the variables, in a replica context.

        Args:
          gradients: this replica's share; the shares are added up here, once.
          learning_rate: float32 scalar.
          apply_if: bool scalar, the same on every replica; False leaves variables and state alone.
        """
        gradients = [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, self._variables)]
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        context.merge_call(self._update_replicas, args=(gradients, learning_rate, apply_if))

    def _update_replicas(self, strategy, gradients, learning_rate, apply_if) -> None:
        for i, (variable, gradient) in enumerate(zip(self._variables, gradients)):
            args = (self._slots[i], gradient, i, learning_rate, apply_if)
            strategy.extended.update(variable, self._guarded, args=args, group=False)

    def _guarded(self, variable, slots, gradient, index: int, learning_rate, apply_if) -> None:
        update = functools.partial(self._update, variable, slots, gradient, index, learning_rate)
        if apply_if is None:
            update()
        else:
            tf.cond(apply_if, update, lambda: None)

    def _slots_of(self, variable: tf.Variable, index: int) -> list[tf.Variable]:
        raise NotImplementedError

    def _update(self, variable, slots, gradient, index: int, learning_rate) -> None:
        raise NotImplementedError


class MomentumSGD(Optimizer):
    """v <- mu v + (g + wd w);  w <- w - lr ((g + wd w) + mu v), Nesterov's form as in PyTorch's SGD.

    Args:
      variables: of a model, Keras's or TensorFlow's.
      momentum: mu.
      weight_decay: wd, for kernels; biases and batch norm have none.
      rate: share of the learning rate that these variables get.
    """

    def __init__(self, variables: Sequence, momentum: float, weight_decay: float, rate: float = 1.0):
        super().__init__(variables, rate)
        self._decays = [weight_decay if "kernel" in variable_name(v) else 0.0 for v in variables]
        self._momentum = momentum

    def _slots_of(self, variable: tf.Variable, index: int) -> list[tf.Variable]:
        return [tf.Variable(tf.zeros_like(variable), trainable=False, name=f"velocity_{index}")]

    def _update(self, variable, slots, gradient, index: int, learning_rate) -> None:
        decay = self._decays[index]
        # Subtracted: TensorFlow would join an addition to the sum of a tape, and add the parts up in any order.
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=slots[0].handle,
            lr=learning_rate * self._rate,
            grad=gradient - (-decay) * variable if decay else gradient,
            momentum=self._momentum,
            use_nesterov=True,
        )


class Adam(Optimizer):
    """m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  w <- w - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)

    after Kingma and Ba (ICLR 2015), with their b1 = 0.9, b2 = 0.999 and eps = 1e-8. Neither schedule nor weight decay.

    Args:
      variables: of a model, Keras's or TensorFlow's.
      rate: learning rate, whatever the run's is.
    """

    _BETAS = 0.9, 0.999

    def _slots_of(self, variable: tf.Variable, index: int) -> list[tf.Variable]:
        moments = [tf.zeros_like(variable), tf.zeros_like(variable), tf.zeros([], variable.dtype)]
        names = ("mean", "square", "count")
        return [tf.Variable(m, trainable=False, name=f"{n}_{index}") for n, m in zip(names, moments)]

    def _update(self, variable, slots, gradient, index: int, learning_rate) -> None:
        mean, square, count = slots
        done, dtype = count.assign_add(tf.ones_like(count)), variable.dtype
        first, second = (tf.constant(beta, dtype) for beta in self._BETAS)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=mean.handle,
            v=square.handle,
            beta1_power=first**done,
            beta2_power=second**done,
            lr=tf.constant(self._rate, dtype),
            beta1=first,
            beta2=second,
            epsilon=tf.constant(1e-8, dtype),
            grad=gradient,
        )
