"""BNM: "Towards Discriminability and Diversity: Batch Nuclear-norm Maximization" (Cui et al., CVPR 2020), as a term.

    loss = -||P||_* / Nt,  P = softmax(z_t) [Nt, r]

The nuclear norm grows with sure predictions and with diverse ones. Its gradient U V' is written out: that of an SVD is
NaN where singular values are equal.
"""

import tensorflow as tf

from gsda_tf.methods.base import Batch, Term, setting


def batch_nuclear_norm(logits: tf.Tensor) -> tf.Tensor:
    """-||softmax(z)||_* / N, float32 scalar, of logits [N, r]."""
    probabilities = tf.nn.softmax(logits)
    _, u, v = tf.linalg.svd(tf.stop_gradient(probabilities), full_matrices=False)
    direction = tf.stop_gradient(tf.matmul(u, v, transpose_b=True))  # d||P||_* / dP, and <P, U V'> = ||P||_*
    return -tf.reduce_sum(probabilities * direction) / tf.cast(tf.shape(logits)[0], logits.dtype)


class BNMTerm(Term):
    """Batch nuclear-norm maximization on the target, to be added."""

    name = "bnm"
    replaces_entropy = True

    class Options:
        bnm_weight: float = setting(1.0, "weight of the batch's nuclear norm", minimum=0)

    def loss(self, b: Batch) -> tf.Tensor:
        return self.options.bnm_weight * b.share(batch_nuclear_norm(b.whole.target_logits))
