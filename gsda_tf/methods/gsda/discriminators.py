"""The discriminators D_k of every node of the hierarchy: one bank a level."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from gsda_tf.methods.gsda.hierarchy import Hierarchy
from gsda_tf.models.discriminators import DiscriminatorBank


class Discriminators(keras.Model):
    """The bank of every level of a hierarchy, domain first.

    Args:
      hierarchy: L levels.
      hidden_units: widths of the hidden layers, the same for all.
      feature_units: d.
      seed: of the initial weights.
    """

    def __init__(self, hierarchy: Hierarchy, hidden_units: Sequence[int], feature_units: int, seed: int = 0):
        super().__init__(dtype="float32", name="discriminators")
        self.banks = [
            DiscriminatorBank(level.size, hidden_units, feature_units, seed * 31 + i, name=level.name)
            for i, level in enumerate(hierarchy.levels)
        ]
        self.built = True

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Logits of all discriminators, in the order of the hierarchy's rows.

        Args:
          features: float32 [N, d].

        Returns:
          float32 [K, N].
        """
        return tf.concat([bank(features) for bank in self.banks], axis=0)
