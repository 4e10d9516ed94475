"""MDD: "Bridging Theory and Algorithm for Domain Adaptation" (Zhang et al., ICML 2019). Margin disparity discrepancy.

    loss = mean_s CE(h(f), y) + gamma mean_s -log s_yhat(h'(R(f))) + mean_t -log(1 - s_yhat(h'(R(f))))

s is softmax, yhat the class that h says (for the source, too), R gradient reversal of strength at most 0.1: the
adversarial head h' of the same shape as h learns to agree with h on the source and to disagree on the target; E undoes
it. log(1 - s_k) is logsumexp without k minus logsumexp: finite where s_k is 1.
"""

import tensorflow as tf

from gsda_tf.losses import ramp_up, reverse_gradient
from gsda_tf.methods.base import Batch, Method, build_classifier, setting


def disagreement(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """-log(1 - softmax(z)_label), float32 [N], of logits [N, r] and labels int [N]. With one class there is no other
    to be: 0."""
    if logits.shape[1] == 1:
        return tf.zeros_like(logits[:, 0])
    label = tf.one_hot(labels, logits.shape[1], dtype=tf.bool, on_value=True, off_value=False)
    others = tf.where(label, tf.fill(tf.shape(logits), logits.dtype.min), logits)
    return tf.reduce_logsumexp(logits, axis=1) - tf.reduce_logsumexp(others, axis=1)


class MDD(Method):
    """An adversarial classifier head."""

    name, title = "mdd", "MDD"
    discriminator_rate = 1.0
    published = {"office_home": {"mdd_margin": 2.0}}

    class Options:
        mdd_margin: float = setting(4.0, "gamma, weight of the agreement on the source", minimum=0)
        mdd_head_units: tuple[int, ...] = setting((1024,), "hidden widths of both heads", maximum=2**17)
        reversal_weight: float = setting(0.1, "strength of the gradient reversal", minimum=0)
        reversal_ramp: float = setting(10.0, "rate g of the ramp of that strength", minimum=0)

    def build(self) -> None:
        shape = (self.problem.feature_units, self.problem.num_classes, self.options.mdd_head_units)
        self.classifier = build_classifier(*shape)
        self.adversary = build_classifier(*shape, name="adversary")
        self.adversaries = {"adversary": self.adversary}

    def loss(self, b: Batch) -> tf.Tensor:
        strength = ramp_up(self.options.reversal_weight, self.options.reversal_ramp, b.progress)
        logits = self.adversary(reverse_gradient(b.features, strength))
        said, count = tf.argmax(b.logits, axis=1, output_type=tf.int32), b.num_source
        agree = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=said[:count], logits=logits[:count])
        source, target = b.mean(agree), b.mean(disagreement(logits[count:], said[count:]))
        b.log("alignment/agreement", source)
        b.log("alignment/disagreement", target)
        return self.classification(b) + self.options.mdd_margin * source + target
