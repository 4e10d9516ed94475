"""AFN: "Larger Norm More Transferable: An Adaptive Feature Norm Approach" (Xu et al., ICCV 2019). No critic.

    stepwise (SAFN): mean_i (||f_i|| - sg(||f_i||) - step)^2 for each domain; always step^2, its gradient is what counts
    hard (HAFN):     (mean_i ||f_i|| - R)^2 for each domain

plus --entropy_weight times the target's entropy. On a frozen backbone the bottleneck is the authors', but for its
L2-preserving dropout: about 1000 units, with batch norm over source and target apart. A layer norm takes away the
norms that are enlarged. A step enlarges the norms by about rate times weight. The published weight, 0.05, goes with a
rate of 1e-3 for all layers; that of new layers is 1e-2 here, so the default is 0.005. With 0.05 and no norm the norms
grew fortyfold in 1,000 steps, and the source was forgotten. VisDA-2017's, 0.01, is 0.001 by the same tenth.
"""

import tensorflow as tf

from gsda_tf.losses import conditional_entropy, safe_norm
from gsda_tf.methods.base import Batch, Term, TermMethod, setting


def stepwise(features: tf.Tensor, step: float) -> tf.Tensor:
    """SAFN's terms, float32 [N] of [N, d]: their mean is the loss."""
    norms = safe_norm(features)
    return tf.square(norms - tf.stop_gradient(norms) - step)


def hard(mean_norm: tf.Tensor, radius: float) -> tf.Tensor:
    """HAFN's loss of a domain's mean norm, a scalar."""
    return tf.square(mean_norm - radius)


class AFNTerm(Term):
    """Larger feature norms, to be added."""

    name = "afn"
    published = {"visda2017": {"afn_step": 0.3, "afn_weight": 0.001}}

    class Options:
        afn_form: str = setting("stepwise", "which norm loss: SAFN or HAFN", choices=("stepwise", "hard"))
        afn_weight: float = setting(0.005, "weight of the norm loss of each domain", minimum=0)
        afn_step: float = setting(1.0, "by how much SAFN enlarges the norms", minimum=0)
        afn_radius: float = setting(25.0, "R, the mean norm that HAFN wants", minimum=0)

    def loss(self, b: Batch) -> tf.Tensor:
        options = self.options
        values = []
        for features in (b.source, b.target):
            if options.afn_form == "stepwise":
                values.append(b.mean(stepwise(features, options.afn_step)))
            else:
                values.append(b.share(hard(b.total(b.mean(safe_norm(features))), options.afn_radius)))
        return options.afn_weight * tf.add_n(values)


class AFN(TermMethod):
    """Source cross-entropy, larger feature norms, and some entropy."""

    name, title, term = "afn", "AFN", AFNTerm
    regimes = {"frozen": {"bottleneck_norm": "batch", "bottleneck_units": 1024}}
    weak = {"scratch": "norms that grow from the first step on hide what the source would teach"}
    entropy_option = "entropy_weight"
    published = {
        "office_home": {"entropy_weight": 0.0},
        "visda2017": {**AFNTerm.published["visda2017"], "entropy_weight": 0.0},
    }

    class Options(AFNTerm.Options):
        entropy_weight: float = setting(0.1, "weight of the target's entropy", minimum=0)

    def loss(self, b: Batch) -> tf.Tensor:
        loss = super().loss(b)
        if not self.options.entropy_weight:
            return loss
        entropy = b.log("loss/entropy", b.mean(conditional_entropy(b.target_logits)))
        return loss + self.options.entropy_weight * entropy
