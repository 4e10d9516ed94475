"""PADA: "Partial Adversarial Domain Adaptation" (Cao et al., ECCV 2018), for partial targets.

gamma = mean over the whole target of softmax(z / T), asked every `--pseudo_label_period` steps, 1 before the first; the
source's cross-entropy is weighted by gamma_y (and divided by the weights' sum), the critic of DANN sees source samples
weighted by gamma_y / max gamma and target samples by 1. As in the authors' code; others divide otherwise.
"""

import numpy as np
import scipy.special
import tensorflow as tf

from gsda_tf.losses import reverse_gradient, source_cross_entropy
from gsda_tf.methods.base import Batch, setting
from gsda_tf.methods.dann import DANN, describe, domain_loss


def class_weights(logits: np.ndarray, temperature: float) -> np.ndarray:
    """gamma / max gamma, float32 [r], of the logits [nt, r] of a whole target set."""
    gamma = scipy.special.softmax(logits.astype(np.float64) / temperature, axis=1).mean(axis=0)
    return (gamma / gamma.max()).astype(np.float32)


class PADA(DANN):
    """DANN on the source classes that the target seems to have."""

    name, title = "pada", "PADA"
    observes = True

    class Options(DANN.Options):
        pada_temperature: float = setting(1.0, "T of the softmax whose mean weighs the classes", minimum=1e-3)

    def build(self) -> None:
        super().build()
        self.weights = tf.Variable(tf.ones([self.problem.num_classes]), trainable=False, name="class_weights")
        self.kept = {"class_weights": self.weights}

    def observe(self, logits: np.ndarray) -> None:
        self.weights.assign(class_weights(logits, self.options.pada_temperature))

    def classification(self, b: Batch) -> tf.Tensor:
        weights = tf.gather(tf.convert_to_tensor(self.weights), b.labels)
        values = weights * source_cross_entropy(b.source_logits, b.labels)
        whole = b.total(tf.reduce_sum(weights))
        return b.log("loss/classification", tf.math.divide_no_nan(tf.reduce_sum(values), whole))

    def discrimination(self, b: Batch) -> tf.Tensor:
        logits = self.critic(reverse_gradient(self.seen(b), self.strength(b)))[0]
        weights = tf.gather(tf.convert_to_tensor(self.weights), b.labels)
        loss = domain_loss(b, logits, weights)
        describe(b, logits, loss / (0.5 * (b.total(b.mean(weights)) + 1)))  # logged as a mean: log 2 by chance
        return loss
