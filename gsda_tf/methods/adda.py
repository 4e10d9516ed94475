"""ADDA: "Adversarial Discriminative Domain Adaptation" (Tzeng et al., CVPR 2017).

Two phases. "source": cross-entropy of E and C on the source. "adapt": E as it is now is kept for the source and no
longer moves, nor does C; E goes on as the target's extractor:
    critic down   mean BCE(D(f), d), source features from the kept extractor
    E down        mean_t BCE(D(E(x_t)), 1), the inverted labels (non-saturating) of the paper
Both gradients are taken at the same weights, as in the authors' code. The target's E is deployed. In the second phase
Adam moves both, the critic a hundred times as fast: with SGD the target's E rises for some steps and collapses then, as
users of the authors' code found with rates that are alike.
"""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.losses import discrimination_entropy
from gsda_tf.methods.base import Batch, Method, setting
from gsda_tf.methods.dann import describe, domain_loss
from gsda_tf.models.discriminators import DiscriminatorBank


class ADDA(Method):
    """A second extractor for the target, trained to fool the critic of the first."""

    name, title = "adda", "ADDA"
    phases = ("source", "adapt")
    discriminator_rate = 1.0
    weak = {"frozen": "at --adda_rate=1e-5 the target's bottleneck hardly moves, and at 1e-4 it collapses"}

    class Options:
        source_share: float = setting(0.5, "share of the steps that train on the source alone", minimum=0, maximum=1)
        adda_rate: float = setting(1e-5, "Adam's learning rate of the target's extractor", minimum=0)
        critic_rate: float = setting(1e-3, "Adam's learning rate of the critic", minimum=0)

    def build(self) -> None:
        problem = self.problem
        self.critic = DiscriminatorBank(1, problem.discriminator_units, problem.feature_units, problem.seed)
        self.adversaries = {"discriminators": self.critic}
        self.source_extractor = problem.copy_extractor()
        self.kept = {"source_extractor": self.source_extractor}

    def phase_ends(self, steps: int) -> Sequence[int]:
        return (min(max(round(steps * self.options.source_share), 1), steps),)

    def adam_rates(self, phase: str) -> Mapping[str, float]:
        if phase == "source":
            return {}
        return {"extractor": self.options.adda_rate, "discriminators": self.options.critic_rate}

    def begin(self, phase: str) -> None:
        for kept, variable in zip(self.source_extractor.variables, self.problem.extractor.variables):
            if kept is not variable:
                tf_variable(kept).assign(tf_variable(variable))

    def step(self, s) -> None:
        if s.phase == "source":
            s.descend(self.loss, s.forward("source"), "extractor", "classifier")
            return
        features = tf.stop_gradient(self.source_extractor(s.images["source"], training=False))
        b = s.forward("source", "target", fixed={"source": features})
        s.descend(self.extractor_loss, b, "extractor")
        s.descend(self.adversary_loss, b, "discriminators")

    def adversary_loss(self, b: Batch) -> tf.Tensor:
        """The critic's."""
        logits = self.critic(b.features)[0]
        return describe(b, logits, domain_loss(b, logits))

    def extractor_loss(self, b: Batch) -> tf.Tensor:
        """The target's E: its samples are to be taken for the source's."""
        logits = self.critic(b.target)[0]
        return b.mean(discrimination_entropy(logits, tf.ones_like(logits)))
