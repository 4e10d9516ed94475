"""GSDA: "Unsupervised Domain Adaptation with Hierarchical Gradient Synchronization" (Hu et al., CVPR 2020).

The features are aligned by discriminators of the domain, of random groups of classes and of each class, whose feature
gradients are kept in step. The rows of the paper's ablation (Table 1), below, are this method with less and less of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from gsda_tf.losses import conditional_entropy, discrimination_entropy, ramp_up
from gsda_tf.methods.base import Batch, Method, Problem
from gsda_tf.methods.gsda import alignment, synchronization
from gsda_tf.methods.gsda import hierarchy as hierarchies
from gsda_tf.methods.gsda.discriminators import Discriminators
from gsda_tf.methods.gsda.gradient_norms import GRADIENT_NORMS
from gsda_tf.methods.gsda.options import GroupOptions, GSDAOptions, LevelOptions
from gsda_tf.methods.gsda.pairs import Pairs, build_pairs
from gsda_tf.settings import flag


class GSDA(Method):
    """Discriminators of all levels, synchronized.

    Class attributes:
      levels: of "domain", "group" and "class", those that have discriminators.
      synchronized: whether their feature gradients are kept in step, equations (10)-(12).
    """

    name, title = "gsda", "+ synchronization (GSDA)"
    levels: ClassVar[tuple[str, ...]] = ("domain", "group", "class")
    synchronized: ClassVar[bool] = True
    pseudo_labels = True
    entropy_option = "alpha"
    regimes = {"trained": {"alpha": 0.1}, "many_classes": {"discriminator_units": (64,)}}
    Options = GSDAOptions

    def build(self) -> None:
        problem, options = self.problem, self.options
        self.hierarchy = self._hierarchy(problem, options)
        self.bank = Discriminators(self.hierarchy, problem.discriminator_units, problem.feature_units, problem.seed)
        self.adversaries = {"discriminators": self.bank}
        # (9) adds up one loss a level, so that three levels would pull three times as hard as one.
        self._strength = options.adversarial_weight / len(self.hierarchy.levels)
        self._beta = options.beta if self.synchronized else 0.0
        if self.synchronized:
            auto = "tapes" if problem.backbone_moves else "closed_form"
            self.gradient_norms = auto if options.slopes == "auto" else options.slopes

    def step(self, s) -> None:
        b = s.forward()
        s.descend(self.adversary_loss, b, "discriminators")
        s.descend(self.loss, b, "extractor", "classifier")

    def adversary_loss(self, b: Batch) -> tf.Tensor:
        """Equations (14) and (15): L^g + L^l + beta L^syn, which D minimises with the features fixed."""
        scores = self._discriminate(b)
        self._describe(b, scores)
        return tf.reduce_sum(scores.losses) + self._synchronization(b, scores)

    def loss(self, b: Batch) -> tf.Tensor:
        """Equation (16), which E minimises; C is moved by its L^c alone, (17), as P carries no gradient."""
        options = self.options
        alpha = ramp_up(options.alpha, options.alpha_ramp, b.progress)
        strength = ramp_up(self._strength, options.adversarial_ramp, b.progress)
        # (5): the mean of (3) plus alpha times the mean of (4).
        entropy = b.log("loss/entropy", b.mean(conditional_entropy(b.target_logits)))
        loss = self.classification(b) + alpha * entropy
        b.log("alpha", b.share(alpha))
        b.log("adversarial_weight", b.share(strength))
        scores = self._discriminate(b)
        return loss + strength * (self._synchronization(b, scores) - tf.reduce_sum(scores.losses))

    @classmethod
    def paper(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Equation (16) adds up the levels, each as strong as one alone; the option is what they share."""
        groups = len(set(settings.get("num_groups", ()))) or 1
        return {"adversarial_weight": float(len(cls.levels) - 1 + groups)}

    @classmethod
    def remarks(cls, settings: Mapping[str, Any], num_classes: int) -> Sequence[str]:
        if settings.get("num_groups") != () or settings["groups_file"]:
            return ()
        groups = hierarchies.default_groups(num_classes)
        chosen = flag("num_groups", groups) if groups else "No groups of classes"
        return [f"{chosen}, as there are {num_classes} classes."]

    def facts(self) -> dict[str, Any]:
        names = np.asarray(self.problem.class_names)
        levels = [level for level in self.hierarchy.levels if level.name.startswith("group")]
        facts: dict[str, Any] = {"groups": [names[c > 0].tolist() for level in levels for c in level.membership.T]}
        if self.synchronized:
            facts["slopes"] = self.gradient_norms
        return facts

    def assets(self) -> dict[str, Any]:
        return {"groups": self.facts()["groups"]}

    def _hierarchy(self, problem: Problem, options: Any) -> hierarchies.Hierarchy:
        # The rows of the ablation that have no groups have no options for them.
        if getattr(options, "groups_file", ""):
            groups = hierarchies.read_groups(options.groups_file, problem.class_names)
            return hierarchies.hierarchy_from_groups(problem.num_classes, groups)
        sizes = getattr(options, "num_groups", ())
        return hierarchies.build_hierarchy(problem.num_classes, sizes, self.levels, problem.seed)

    def _discriminate(self, b: Batch) -> Scores:
        """Every discriminator on every sample that counts for it: L_k of this share and S_k of the global batch."""
        batch_size = b.features.shape[0] * b.replicas
        probabilities = alignment.class_probabilities(b.labels, self.classifier(b.target), self.hierarchy.num_classes)
        pairs = [build_pairs(level, b.labels, probabilities) for level in self.hierarchy.levels]
        losses, magnitudes, logits = [], [], []
        for bank, level in zip(self.bank.banks, pairs):
            samples = level.samples(b.features)
            if self._beta:
                scores, slopes = GRADIENT_NORMS[self.gradient_norms](bank, samples, level.domains)
                magnitudes.append(synchronization.gradient_magnitudes(level.weights, slopes, batch_size))
            else:
                scores = bank(samples)
            entropies = discrimination_entropy(scores, level.domains)
            losses.append(alignment.alignment_losses(level.weights, entropies, batch_size))
            logits.append(scores)
        # |S - sum S| is not linear: S must be whole before it.
        whole = b.total(tf.concat(magnitudes, 0)) if self._beta else None
        return Scores(tf.concat(losses, 0), whole, logits, pairs)

    def _synchronization(self, b: Batch, scores: Scores) -> tf.Tensor:
        """This replica's share of beta L^syn: every replica computes the whole, and shares are added up."""
        if scores.magnitudes is None:
            return tf.zeros([])
        return b.share(self._beta * synchronization.synchronization_loss(scores.magnitudes, self.hierarchy))

    def _describe(self, b: Batch, scores: Scores) -> None:
        """Losses, S and discriminator accuracy by level, as they were before the update."""
        for (name, part), level, logits in zip(self.hierarchy.slices.items(), scores.pairs, scores.logits):
            right = tf.cast(tf.equal(logits > 0, level.domains > 0.5), tf.float32)
            b.log(f"alignment/{name}", tf.reduce_sum(scores.losses[part]))
            weight = tf.reduce_sum(level.weights)
            b.log(f"accuracy/discriminator_{name}", b.share(tf.reduce_sum(level.weights * right) / weight))
            if scores.magnitudes is not None:
                b.log(f"S/{name}", b.share(tf.reduce_sum(scores.magnitudes[part])))
        if scores.magnitudes is not None:
            for name, value in synchronization.level_differences(scores.magnitudes, self.hierarchy).items():
                b.log(f"difference/{name}", b.share(tf.reduce_mean(tf.abs(value))))
            whole = synchronization.synchronization_loss(scores.magnitudes, self.hierarchy)
            b.log("loss/synchronization", b.share(whole))


class Scores(NamedTuple):
    """The discriminators' scores of one batch.

    Attributes:
      losses: L_k, float32 [K], this replica's share.
      magnitudes: S_k, float32 [K], of the global batch; None if the method does not synchronize.
      logits: float32 [n, m] of every level, m samples for each of its n discriminators.
      pairs: these samples and their weights, of every level.
    """

    losses: tf.Tensor
    magnitudes: tf.Tensor | None
    logits: list[tf.Tensor]
    pairs: list[Pairs]


class DomainGroupClass(GSDA):
    """Discriminators of the domain, of random groups of classes, and of each class; not synchronized."""

    name, title = "domain_group_class", "+ group"
    synchronized = False
    Options = GroupOptions


class DomainClass(DomainGroupClass):
    """Discriminators of the domain and of each class."""

    name, title = "domain_class", "+ class"
    levels = ("domain", "class")
    Options = LevelOptions


class DomainOnly(DomainClass):
    """One discriminator of the domain: DANN with GSDA's entropy and pseudo-labels."""

    name, title = "domain", "domain (DANN)"
    levels = ("domain",)
    regimes = {"trained": GSDA.regimes["trained"]}
