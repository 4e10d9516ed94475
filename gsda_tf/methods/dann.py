"""DANN: "Domain-Adversarial Training of Neural Networks" (Ganin et al., JMLR 2016).

    loss = mean_s CE(C(f), y) + 1/2 (mean_s + mean_t) BCE(D(R(f)), d)

R is gradient reversal of strength w (2/(1 + exp(-g p)) - 1): one critic D [N, d] -> [N] learns to tell the domains
apart, and E gets its gradient with the opposite sign, in one backward pass. The row "domain" of GSDA's ablation is not
this: it alternates the two updates, and has an entropy and pseudo-labels.
"""

from __future__ import annotations

import tensorflow as tf

from gsda_tf.losses import discrimination_entropy, ramp_up, reverse_gradient
from gsda_tf.methods.base import Batch, Method, setting
from gsda_tf.models.discriminators import DiscriminatorBank


class DANN(Method):
    """One domain critic behind gradient reversal."""

    name, title = "dann", "DANN"

    class Options:
        adversarial_weight: float = setting(1.0, "strength of the gradient reversal", minimum=0)
        adversarial_ramp: float = setting(10.0, "rate g of the ramp 2/(1 + exp(-g p)) - 1 of that strength", minimum=0)

    def build(self) -> None:
        units, seed = self.problem.discriminator_units, self.problem.seed
        self.critic = DiscriminatorBank(self.num_critics, units, self.seen_units, seed)
        self.adversaries = {"discriminators": self.critic}

    @property
    def num_critics(self) -> int:
        """K; each sees `seen`."""
        return 1

    @property
    def seen_units(self) -> int:
        """Width of what the critic sees."""
        return self.problem.feature_units

    def seen(self, b: Batch) -> tf.Tensor:
        """Returns what the critic sees, float32 [N, units]."""
        return b.features

    def loss(self, b: Batch) -> tf.Tensor:
        return self.classification(b) + self.discrimination(b)

    def strength(self, b: Batch) -> tf.Tensor:
        """Strength of the gradient reversal, float32 scalar; logged."""
        strength = ramp_up(self.options.adversarial_weight, self.options.adversarial_ramp, b.progress)
        b.log("adversarial_weight", b.share(strength))
        return strength

    def discrimination(self, b: Batch) -> tf.Tensor:
        """The critic's loss; what goes back into the features is reversed."""
        logits = self.critic(reverse_gradient(self.seen(b), self.strength(b)))[0]
        return describe(b, logits, domain_loss(b, logits))


def domain_loss(b: Batch, logits: tf.Tensor, weights: tf.Tensor | float = 1.0) -> tf.Tensor:
    """1/2 (mean_s w H + mean_t H) of a critic's logits, float32 [N]; w [Ns] are weights of the source samples."""
    entropies, count = discrimination_entropy(logits, b.domains), b.num_source
    return 0.5 * (b.mean(weights * entropies[:count]) + b.mean(entropies[count:]))


def describe(b: Batch, logits: tf.Tensor, loss: tf.Tensor) -> tf.Tensor:
    """Logs a domain critic's loss and accuracy; returns the loss."""
    right = tf.cast(tf.equal(logits > 0, b.domains > 0.5), tf.float32)
    b.log("accuracy/discriminator_domain", b.mean(right))
    return b.log("alignment/domain", loss)
