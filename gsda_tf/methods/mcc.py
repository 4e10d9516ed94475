"""MCC: "Minimum Class Confusion for Versatile Domain Adaptation" (Jin et al., ECCV 2020). No critic.

    P = softmax(z_t / T) [Nt, r],  w_i = Nt (1 + exp(-H(P_i))) / sum (1 + exp(-H)), stopped,
    M = (w P)' P [r, r], rows divided by their sums,  loss = (sum M - tr M) / r

It falls as predictions get sure *and* stay spread over the classes. 1 - 1/r for uniform predictions, 0 for sure ones.
"""

import tensorflow as tf

from gsda_tf.methods.base import Batch, Term, TermMethod, setting


def class_confusion(logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """MCC's loss, float32 scalar.

    Args:
      logits: float32 [Nt, r], of the whole batch.
      temperature: T.
    """
    probabilities = tf.nn.softmax(logits / temperature)
    entropies = -tf.reduce_sum(probabilities * tf.math.log(probabilities + 1e-5), axis=1)
    weights = 1.0 + tf.exp(-entropies)
    count = tf.cast(tf.shape(logits)[0], logits.dtype)
    weights = tf.stop_gradient(count * weights / tf.reduce_sum(weights))
    confusion = tf.matmul(weights[:, None] * probabilities, probabilities, transpose_a=True)
    # A class that nothing is likely to be has a row of nearly 0: its quotient is of no use, but must not be NaN.
    confusion = tf.math.divide_no_nan(confusion, tf.reduce_sum(confusion, axis=1, keepdims=True))
    return (tf.reduce_sum(confusion) - tf.linalg.trace(confusion)) / tf.cast(tf.shape(logits)[1], logits.dtype)


class MCCTerm(Term):
    """Minimum class confusion, to be added."""

    name = "mcc"
    published = {"visda2017": {"mcc_temperature": 3.0}}
    replaces_entropy = True
    regimes = {"frozen": {"bottleneck_units": 1024}}

    class Options:
        mcc_weight: float = setting(1.0, "weight of the class confusion", minimum=0)
        mcc_temperature: float = setting(2.5, "T of its softmax", minimum=0.01)

    def loss(self, b: Batch) -> tf.Tensor:
        value = class_confusion(b.whole.target_logits, self.options.mcc_temperature)
        return self.options.mcc_weight * b.share(value)


class MCC(TermMethod):
    """Source cross-entropy and class confusion on the target."""

    name, title, term = "mcc", "MCC", MCCTerm
    Options, published, regimes = MCCTerm.Options, MCCTerm.published, MCCTerm.regimes
