"""The slope of a discriminator's loss at a sample, ||dH/df||: the norms in (10) and (11), in two ways.

By the chain rule ||dH/df|| = |dH/dz| ||dz/df|| = |sigmoid(z) - d| ||J||. `by_tape` takes J by the definition, for any
discriminator: an inner `GradientTape` gives it, and the tape around it differentiates through that. The first factor is
written down, which spares the tape around a pass through all layers: where J does not depend on f, as behind a ReLU,
nothing is sent back through it. `in_closed_form` knows the discriminators for what they are, ReLU perceptrons with one
output, and gives the same numbers and gradients with two thirds of the products:

  J = W_1 M_1 W_2 M_2 ... w, where M holds which units are on.

One output means that backpropagating dL/dz is scaling what J was made of, so J, the gradient to f and the gradients
to the weights share one backward pass; and M has no derivative, so ||J|| depends on f nowhere but at the kinks.
"""

from collections.abc import Callable

import tensorflow as tf

from gsda_tf.losses import safe_norm
from gsda_tf.models.discriminators import DiscriminatorBank


def by_tape(bank: DiscriminatorBank, samples: tf.Tensor, domains: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits and slopes of n discriminators, by a nested tape.

    Args:
      bank: n discriminators.
      samples: float32 [n, m, d], a copy of the features for each of them.
      domains: float32 [m], d of each sample.

    Returns:
      (logits float32 [n, m], ||dH/df|| float32 [n, m]).
    """
    with tf.GradientTape() as inner:
        inner.watch(samples)
        logits = bank(samples)
    return logits, _slopes(logits, domains, safe_norm(inner.gradient(logits, samples)))


def in_closed_form(bank: DiscriminatorBank, samples: tf.Tensor, domains: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """As `by_tape`, for ReLU perceptrons."""
    kernels = [tf.convert_to_tensor(kernel) for kernel in bank.kernels]
    biases = [tf.convert_to_tensor(bias) for bias in bank.biases]
    logits, norms = _logits_and_norms(samples, *kernels, *biases)
    return logits, _slopes(logits, domains, norms)


def _slopes(logits: tf.Tensor, domains: tf.Tensor, norms: tf.Tensor) -> tf.Tensor:
    """||dH/df|| = |sigmoid(z) - d| ||dz/df||, without the cancellation where a discriminator is sure of itself."""
    return tf.sigmoid((1.0 - 2.0 * domains) * logits) * norms


GRADIENT_NORMS: dict[str, Callable] = {"closed_form": in_closed_form, "tapes": by_tape}


# TensorFlow keeps every graph with a gradient of one's own until the process ends: this one, and not that of the step.
@tf.function(autograph=False)
@tf.custom_gradient
def _logits_and_norms(x: tf.Tensor, *weights: tf.Tensor):
    """z [n, m] and ||dz/dx|| [n, m] of perceptrons given as kernels [n, in, out], then biases [n, 1, out]."""
    kernels, biases = weights[: len(weights) // 2], weights[len(weights) // 2 :]
    inputs, masks = [x], []
    for kernel, bias in zip(kernels[:-1], biases[:-1]):
        inputs.append(tf.nn.relu(tf.matmul(inputs[-1], kernel) + bias))
        masks.append(tf.cast(inputs[-1] > 0, x.dtype))
    logits = tf.squeeze(tf.matmul(inputs[-1], kernels[-1]) + biases[-1], -1)
    # slopes[i] is dz by the i-th hidden layer before its ReLU.
    slope = tf.linalg.matrix_transpose(kernels[-1])
    slopes = []
    for kernel, mask in zip(reversed(kernels[:-1]), reversed(masks)):
        slopes.insert(0, slope * mask)
        slope = tf.matmul(slopes[0], kernel, transpose_b=True)
    slope = tf.broadcast_to(slope, tf.shape(x))
    norms = safe_norm(slope)

    def backward(logits_gradient: tf.Tensor, norms_gradient: tf.Tensor):
        scale = logits_gradient[..., None]
        # The tangent along the unit vector of J, weighted; 0, not NaN, where J is 0.
        tangent = tf.math.divide_no_nan(norms_gradient, norms)[..., None] * slope
        kernel_gradients, bias_gradients = [], []
        for kernel, layer_input, mask, layer_slope in zip(kernels[:-1], inputs, masks, slopes):
            kernel_gradients.append(tf.matmul(scale * layer_input + tangent, layer_slope, transpose_a=True))
            bias_gradients.append(tf.reduce_sum(scale * layer_slope, axis=1, keepdims=True))
            tangent = tf.matmul(tangent, kernel) * mask
        kernel_gradients.append(tf.reduce_sum(scale * inputs[-1] + tangent, axis=1)[..., None])
        bias_gradients.append(tf.reduce_sum(scale, axis=1, keepdims=True))
        return (scale * slope, *kernel_gradients, *bias_gradients)

    return (logits, norms), backward
