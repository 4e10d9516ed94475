"""RTN: "Unsupervised Domain Adaptation with Residual Transfer Networks" (Long et al., NeurIPS 2016).

    z_T = C(f) is the target's classifier, and the one that is deployed; z_S = z_T + R2 relu(R1 z_T) the source's
    loss = mean_s CE(z_S, y) + w_mmd MK-MMD^2(f ⊗ z_T) + w_h (2/(1 + exp(-g p)) - 1) mean_t H(softmax(z_T))

The tensor product is never built: ||f⊗z - f'⊗z'||^2 = ||f||^2||z||^2 + ||f'||^2||z'||^2 - 2 (f.f')(z.z'). The authors'
max-pooling of the product, which saved memory, is not needed and left out. R2 starts small.
"""

import keras
import tensorflow as tf

from gsda_tf.losses import conditional_entropy, gaussian_kernels, ramp_up, source_cross_entropy
from gsda_tf.methods.base import Batch, setting
from gsda_tf.methods.dan import DAN


def product_distances(features: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """||f_i ⊗ z_i - f_j ⊗ z_j||^2, float32 [n, n], of [n, d] and [n, r]."""
    products = tf.matmul(features, features, transpose_b=True) * tf.matmul(logits, logits, transpose_b=True)
    squares = tf.linalg.diag_part(products)
    distances = tf.maximum(squares[:, None] + squares[None] - 2.0 * products, 0.0)
    return tf.linalg.set_diag(distances, tf.zeros_like(squares))


class RTN(DAN):
    """Discrepancy of features ⊗ predictions, and a residual between the two domains' classifiers."""

    name, title = "rtn", "RTN"
    discriminator_rate = 1.0  # of the residual
    entropy_option = "entropy_weight"

    class Options(DAN.Options):
        entropy_weight: float = setting(0.1, "weight of the target's entropy", minimum=0)
        entropy_ramp: float = setting(10.0, "rate g of the ramp of that weight", minimum=0)

    def build(self) -> None:
        r = self.problem.num_classes
        small = keras.initializers.RandomNormal(stddev=0.01, seed=self.problem.seed % 2**31)
        logits = keras.Input([r], dtype="float32")
        x = keras.layers.Dense(r, activation="relu", dtype="float32")(logits)
        x = keras.layers.Dense(r, dtype="float32", kernel_initializer=small)(x)
        self.residual = keras.Model(logits, x, name="residual")
        self.adversaries = {"residual": self.residual}

    def classification(self, b: Batch) -> tf.Tensor:
        logits = b.source_logits + self.residual(b.source_logits)
        return b.log("loss/classification", b.mean(source_cross_entropy(logits, b.labels)))

    def loss(self, b: Batch) -> tf.Tensor:
        weight = ramp_up(self.options.entropy_weight, self.options.entropy_ramp, b.progress)
        entropy = b.log("loss/entropy", b.mean(conditional_entropy(b.target_logits)))
        return super().loss(b) + weight * entropy

    def kernel(self, whole: Batch) -> tf.Tensor:
        return gaussian_kernels(product_distances(whole.features, whole.logits))
