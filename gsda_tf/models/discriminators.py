"""Discriminators: a bank of networks of one shape, computed at once."""

from collections.abc import Sequence

import keras
import tensorflow as tf


class DiscriminatorBank(keras.Model):
    """K networks of one shape, f -> logit, whose weights are stacked so that each layer is one matmul.

    The networks are plain ReLU perceptrons: batch norm or dropout would couple the samples of a batch or make
    the per-sample gradient norms of (10) and (11) noisy. Everything is float32 whatever the precision of the
    backbone.

    Args:
      num_discriminators: K.
      hidden_units: widths of the hidden layers.
      feature_units: d.
      seed: of the initial weights.
    """

    def __init__(
        self,
        num_discriminators: int,
        hidden_units: Sequence[int],
        feature_units: int,
        seed: int = 0,
        name: str = "discriminators",
    ):
        super().__init__(dtype="float32", name=name)
        self.num_discriminators = num_discriminators
        self.units = (feature_units, *hidden_units, 1)
        self.kernels, self.biases = [], []
        for i, (fan_in, fan_out) in enumerate(zip(self.units, self.units[1:])):
            # He's bound for layers before a ReLU and Glorot's for the last; Keras's own initializers would
            # count the K networks as a receptive field.
            bound = (6.0 / fan_in) ** 0.5 if i < len(hidden_units) else (6.0 / (fan_in + fan_out)) ** 0.5
            self.kernels.append(
                self.add_weight(
                    name=f"kernel_{i}",
                    shape=(num_discriminators, fan_in, fan_out),
                    initializer=keras.initializers.RandomUniform(-bound, bound, seed=seed * 1009 + i),
                )
            )
            self.biases.append(
                self.add_weight(name=f"bias_{i}", shape=(num_discriminators, 1, fan_out), initializer="zeros")
            )
        self.built = True

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Logits of every discriminator for every sample.

        Args:
          features: float32 [N, d], or [K, N, d] where each discriminator has its own copy, as the inner tape
            of the synchronization needs.

        Returns:
          float32 [K, N]; positive means source.
        """
        x = tf.cast(features, tf.float32)
        last = len(self.kernels) - 1
        for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases)):
            x = tf.matmul(x, tf.convert_to_tensor(kernel)) + tf.convert_to_tensor(bias)
            if i < last:
                x = tf.nn.relu(x)
        return tf.squeeze(x, -1)
