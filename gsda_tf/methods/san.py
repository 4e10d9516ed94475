"""SAN: "Partial Transfer Learning with Selective Adversarial Networks" (Cao et al., CVPR 2018), for partial targets.

    loss = mean_s CE(C(f), y) + sum_c mean_i BCE(D_c(R_c(p_ic f_i)), d_i) + w_h mean_{s,t} H(p)

MADA's critics, but class c's gradient reversal is scaled by gamma_c / max gamma, gamma the mean prediction on the
target of the batch: critics of classes that the target lacks learn, and E does not hear them. As in the authors' code,
which has the class weights of the paper and not its instance weights.
"""

import tensorflow as tf

from gsda_tf.losses import conditional_entropy, reverse_gradient
from gsda_tf.methods.base import Batch, setting
from gsda_tf.methods.mada import MADA, scaled_features


class SAN(MADA):
    """Critics of the classes that the target has."""

    name, title = "san", "SAN"
    entropy_option = "entropy_weight"

    class Options(MADA.Options):
        entropy_weight: float = setting(0.2, "weight of the entropy of both domains", minimum=0)

    def loss(self, b: Batch) -> tf.Tensor:
        entropies = conditional_entropy(b.logits)
        entropy = b.mean(entropies[: b.num_source]) + b.mean(entropies[b.num_source :])
        return super().loss(b) + self.options.entropy_weight * b.log("loss/entropy", 0.5 * entropy)

    def reversed(self, b: Batch, probabilities: tf.Tensor) -> tf.Tensor:
        share = tf.reduce_mean(probabilities[b.num_source :], axis=0) / b.replicas
        weights = tf.stop_gradient(b.total(share))
        strength = self.strength(b) * weights / tf.reduce_max(weights)
        return reverse_gradient(scaled_features(b.features, probabilities), strength[:, None, None])
