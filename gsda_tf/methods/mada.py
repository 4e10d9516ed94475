"""MADA: "Multi-Adversarial Domain Adaptation" (Pei et al., AAAI 2018).

    loss = mean_s CE(C(f), y) + w sum_c mean_i BCE(D_c(R(p_ic f_i)), d_i)

one critic a class, which sees the features scaled by the predicted probability p = softmax(C(f)) (also of source
samples), stopped. GSDA weighs the loss by p instead. The authors' w is 0.3, over ten times the steps: critics that see
p f, which is short at first, hardly learn with it in 1,000.
"""

import tensorflow as tf

from gsda_tf.losses import discrimination_entropy, reverse_gradient
from gsda_tf.methods.base import Batch, setting
from gsda_tf.methods.dann import DANN


def scaled_features(features: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """p_ic f_i, float32 [r, N, d] of [N, d] and [N, r]; p is stopped."""
    return tf.transpose(tf.stop_gradient(probabilities))[:, :, None] * features[None]


class MADA(DANN):
    """One domain critic a class."""

    name, title = "mada", "MADA"
    regimes = {"many_classes": {"discriminator_units": (64,)}}

    class Options(DANN.Options):
        critic_weight: float = setting(1.0, "weight of each critic's loss; they are added up", minimum=0)

    @property
    def num_critics(self) -> int:
        return self.problem.num_classes

    def reversed(self, b: Batch, probabilities: tf.Tensor) -> tf.Tensor:
        """Returns what the critics see, float32 [r, N, d], behind gradient reversal."""
        return reverse_gradient(scaled_features(b.features, probabilities), self.strength(b))

    def discrimination(self, b: Batch) -> tf.Tensor:
        logits = self.critic(self.reversed(b, tf.nn.softmax(b.logits)))
        entropies = discrimination_entropy(logits, b.domains)  # [r, N]
        right = tf.cast(tf.equal(logits > 0, b.domains > 0.5), tf.float32)
        b.log("accuracy/discriminator_class", b.mean(tf.reduce_mean(right, axis=0)))
        b.log("alignment/class", b.mean(tf.reduce_mean(entropies, axis=0)))  # of one critic: log 2 by chance
        return self.options.critic_weight * b.mean(tf.reduce_sum(entropies, axis=0))
