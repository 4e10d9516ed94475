"""JAN: "Deep Transfer Learning with Joint Adaptation Networks" (Long et al., ICML 2017).

DAN with the joint kernel k_f(f, f') k_p(p, p'): five Gaussians on the features times one of fixed bandwidth 1.68 on the
predictions p = softmax(C(f)), as in the authors' code. The gradient flows into p, too.
"""

import tensorflow as tf

from gsda_tf.losses import gaussian_kernels, joined_distances
from gsda_tf.methods.base import Batch
from gsda_tf.methods.dan import DAN

_BANDWIDTH = 1.68


def joint_kernel(features: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """float32 [n, n] of features [n, d] and predictions [n, r]."""
    label_kernel = tf.exp(-joined_distances(probabilities) / _BANDWIDTH)
    return gaussian_kernels(joined_distances(features)) * label_kernel


class JAN(DAN):
    """Mean discrepancy of features and predictions together."""

    name, title = "jan", "JAN"

    def kernel(self, whole: Batch) -> tf.Tensor:
        return joint_kernel(whole.features, tf.nn.softmax(whole.logits))
