"""DAN: "Learning Transferable Features with Deep Adaptation Networks" (Long et al., ICML 2015).

    loss = mean_s CE(C(f), y) + w MK-MMD^2(f_s, f_t)

five Gaussian kernels, summed, with bandwidths around the mean squared distance of the joined batch, as the authors'
code has them (the paper's learned weights of the kernels are in no released code). The estimate is unbiased, so a
negative value is normal.
"""

import tensorflow as tf

from gsda_tf.errors import UserError
from gsda_tf.losses import MMD_ESTIMATES, gaussian_kernels, joined_distances
from gsda_tf.methods.base import Batch, Method, setting


class DAN(Method):
    """Mean discrepancy of the features."""

    name, title = "dan", "DAN"

    class Options:
        mmd_weight: float = setting(1.0, "weight of the discrepancy", minimum=0)
        mmd_estimate: str = setting(
            "quadratic", "over all pairs, or over neighbours alone, with equal batches", choices=("quadratic", "linear")
        )

    def loss(self, b: Batch) -> tf.Tensor:
        kernel = self.kernel(b.whole)
        if self.options.mmd_estimate == "linear" and 2 * b.whole.num_source != kernel.shape[0]:
            raise UserError("--mmd_estimate=linear needs --source_batch and --target_batch to be equal.")
        value = b.share(MMD_ESTIMATES[self.options.mmd_estimate](kernel, b.whole.num_source))
        return self.classification(b) + self.options.mmd_weight * b.log("alignment/domain", value)

    def kernel(self, whole: Batch) -> tf.Tensor:
        """float32 [n, n] of the global batch."""
        return gaussian_kernels(joined_distances(whole.features))
