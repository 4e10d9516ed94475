"""The samples that a level's discriminators judge: the pairs (k, i) whose weight W[k, i] in (7) and (8) can be above 0.

A source sample is of one class for certain, so it counts for the domain, for the groups of its class and for its
class alone. Leaving the pairs of weight 0 out changes no loss and no gradient, and halves the work: a target sample
counts for everyone.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from gsda_tf.losses import domain_labels
from gsda_tf.methods.gsda import alignment
from gsda_tf.methods.gsda.hierarchy import Level


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The pairs of one level of n nodes: c places for source samples, then the Nt target samples.

    Attributes:
      source: int32 [n, c], index of the source sample in each place of each node; None if every node judges all.
      num_source: Ns.
      weights: float32 [n, c + Nt], W; 0 in empty places.
      domains: float32 [c + Nt], d: 1 for source, 0 for target.
    """

    source: tf.Tensor | None
    num_source: int
    weights: tf.Tensor
    domains: tf.Tensor

    def samples(self, features: tf.Tensor) -> tf.Tensor:
        """The features that each node's discriminator judges.

        Args:
          features: float32 [Ns + Nt, d], source first.

        Returns:
          float32 [n, c + Nt, d].
        """
        nodes = self.weights.shape[0]
        if self.source is None:
            return tf.broadcast_to(features, [nodes, *features.shape])
        target = features[self.num_source :]
        target = tf.broadcast_to(target, [nodes, *target.shape])
        return tf.concat([tf.gather(features[: self.num_source], self.source), target], axis=1)


def most_of_a_class(samples: int, num_classes: int) -> int:
    """Returns how often one class can come among `samples` consecutive draws in rounds of one draw a class."""
    return min(samples, math.ceil((samples - 1) / num_classes) + 1)


def build_pairs(level: Level, labels: tf.Tensor, probabilities: tf.Tensor) -> Pairs:
    """The pairs of one level for one batch.

    Args:
      level: its membership matrix.
      labels: int32 [Ns], classes of the source samples, consecutive draws of a class-balanced sampler: no class
        comes more often than `most_of_a_class` says. Were that broken the weights would be NaN, not wrong.
      probabilities: float32 [Ns + Nt, r], P.

    Returns:
      Pairs of static shapes.
    """
    count, nodes = labels.shape[0], level.size
    weights = alignment.loss_weights(probabilities, level.tensor)
    classes_of_a_node = int(np.asarray(level.membership).sum(axis=0).max())
    places = min(count, classes_of_a_node * most_of_a_class(count, len(level.membership)))
    if places == count:
        return Pairs(None, count, weights, domain_labels(count, probabilities.shape[0] - count))
    belongs = tf.transpose(tf.gather(level.tensor, labels))
    # The places go to the samples that belong, in their order: of equals, the first is taken first.
    present, source = tf.math.top_k(belongs, places)
    complete = tf.equal(tf.reduce_sum(present), tf.reduce_sum(belongs))
    present *= tf.where(complete, 1.0, np.nan)
    weights = tf.concat([present, weights[:, count:]], axis=1)
    domains = domain_labels(places, probabilities.shape[0] - count)
    return Pairs(tf.ensure_shape(source, [nodes, places]), count, weights, domains)
