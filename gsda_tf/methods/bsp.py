"""BSP: "Transferability vs. Discriminability: Batch Spectral Penalization" (Chen et al., ICML 2019).

    loss of CDAN+E + w (sigma_1(F_s)^2 + sigma_1(F_t)^2)

sigma_1 is the largest singular value of a domain's features in the batch [N, d], not centred, not divided by N: the
weight belongs to the batch size. On DANN it is `--method=dann --add=bsp`. The gradient is that of ||F v_1||^2 with v_1
stopped, 2 sigma_1 u_1 v_1', which is finite where an SVD's is not.
"""

import tensorflow as tf

from gsda_tf.methods.base import Batch, Term, setting
from gsda_tf.methods.cdan import CDAN


def largest_singular_value_squared(features: tf.Tensor) -> tf.Tensor:
    """sigma_1(F)^2 of float32 [N, d], a scalar."""
    fixed = tf.stop_gradient(features)
    if features.shape[0] <= features.shape[1]:
        _, vectors = tf.linalg.eigh(tf.matmul(fixed, fixed, transpose_b=True))
        return tf.reduce_sum(tf.square(tf.linalg.matvec(features, vectors[:, -1], transpose_a=True)))
    _, vectors = tf.linalg.eigh(tf.matmul(fixed, fixed, transpose_a=True))
    return tf.reduce_sum(tf.square(tf.linalg.matvec(features, vectors[:, -1])))


class BSPTerm(Term):
    """Penalty on the largest singular value of each domain's features, to be added."""

    name = "bsp"

    class Options:
        bsp_weight: float = setting(1e-4, "weight of the squared largest singular values", minimum=0)

    def loss(self, b: Batch) -> tf.Tensor:
        whole = b.whole
        values = largest_singular_value_squared(whole.source) + largest_singular_value_squared(whole.target)
        return self.options.bsp_weight * b.share(values)


class BSP(CDAN):
    """CDAN+E with the spectral penalty."""

    name, title = "bsp", "BSP"

    class Options(CDAN.Options, BSPTerm.Options):
        entropy_conditioning: bool = setting(True, "weigh samples by 1 + exp(-entropy): CDAN+E")

    def loss(self, b: Batch) -> tf.Tensor:
        return super().loss(b) + b.log("loss/bsp", BSPTerm(self.options).loss(b))
