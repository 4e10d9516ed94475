"""One training step: features, the discriminators' update (14)-(15), then the extractor's and classifier's (16)-(17).

E does not move while the discriminators learn, so both updates see the same features: the backbone runs forward
once and backward once.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf

from gsda_tf.hierarchy import Hierarchy
from gsda_tf.losses import alignment, classification, synchronization
from gsda_tf.losses.pairs import build_pairs
from gsda_tf.losses.slopes import SLOPES
from gsda_tf.methods import Method
from gsda_tf.models.discriminators import Discriminators
from gsda_tf.models.extractor import Extractor
from gsda_tf.settings import Settings
from gsda_tf.training import schedules
from gsda_tf.training.optimizer import MomentumSGD
from gsda_tf.training.precision import LossScale, finite_or_zero


@dataclasses.dataclass(frozen=True)
class Networks:
    """E, C and D. `discriminators` is None for a method that aligns nothing."""

    extractor: Extractor
    classifier: keras.Model
    discriminators: Discriminators | None


@dataclasses.dataclass(frozen=True)
class Optimizers:
    """One each, so that each is a field of the checkpoint. `backbone` is None if it is frozen."""

    backbone: MomentumSGD | None
    heads: MomentumSGD
    discriminators: MomentumSGD | None


def build_optimizers(networks: Networks, settings: Settings) -> Optimizers:
    """Backbone at a share of the learning rate, bottleneck and classifier at the full one, discriminators."""
    options = settings.optimization
    common = {"momentum": options.momentum, "weight_decay": options.weight_decay}
    extractor, bank = networks.extractor, networks.discriminators
    heads = [*extractor.bottleneck.trainable_variables, *networks.classifier.trainable_variables]
    frozen = settings.model.freeze_backbone
    return Optimizers(
        backbone=None
        if frozen
        else MomentumSGD(extractor.backbone.trainable_variables, rate=options.backbone_rate, **common),
        heads=MomentumSGD(heads, **common),
        discriminators=bank and MomentumSGD(bank.trainable_variables, rate=options.discriminator_rate, **common),
    )


class LossWeights(NamedTuple):
    """What the losses weigh at one step, float32 scalars: (4) in (5), and the discriminators in (16)."""

    alpha: tf.Tensor
    adversarial: tf.Tensor


class TrainingStep:
    """Runs in a replica context, inside a `tf.function`; no Python is left in it once traced.

    Args:
      networks: E, C, D.
      optimizers: theirs.
      method: what is aligned.
      hierarchy: of the discriminators; None if the method aligns nothing.
      settings: weights, rates and schedules.
      loss_scale: of the backbone's backward pass.
    """

    def __init__(
        self,
        networks: Networks,
        optimizers: Optimizers,
        method: Method,
        hierarchy: Hierarchy | None,
        settings: Settings,
        loss_scale: LossScale | None = None,
    ):
        self._networks, self._optimizers = networks, optimizers
        self._method, self._hierarchy = method, hierarchy
        self._settings, self._loss_scale = settings, loss_scale
        self._slopes = SLOPES[settings.device.slopes]
        self._judge = self._judge_features
        if settings.device.jit_compile == "heads":
            self._judge = tf.function(self._judge_features, jit_compile=True, autograph=False)
        self._beta = settings.method.beta if method.synchronized else 0.0
        # (9) adds up one loss a level, so that three levels would pull three times as hard as one.
        self._strength = settings.method.adversarial_weight / (len(hierarchy.levels) if hierarchy else 1)

    def __call__(self, batch: dict[str, tf.Tensor], step: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates E, C and D once.

        Args:
          batch: this replica's share of "source_images" [Ns, S, S, 3], "source_labels" int32 [Ns] and, unless the
            method leaves the target out, "target_images" [Nt, S, S, 3].
          step: int64 scalar, steps done so far.

        Returns:
          Float32 scalars by name; the sum over replicas is the value for the global batch.
        """
        options = self._settings.optimization
        progress = tf.cast(step, tf.float32) / options.steps
        rate = schedules.learning_rate(options.learning_rate, options.rate_decay, progress)
        weights = LossWeights(
            alpha=schedules.ramp_up(self._settings.method.alpha, self._settings.method.alpha_ramp, progress),
            adversarial=schedules.ramp_up(self._strength, self._settings.method.adversarial_ramp, progress),
        )
        labels = batch["source_labels"]
        images = batch["source_images"]
        if self._method.uses_target:
            images = tf.concat([images, batch["target_images"]], axis=0)

        with tf.GradientTape() as backbone_tape:
            raw_features = self._networks.extractor(images, training=True)
        features = raw_features

        finite = None
        if self._loss_scale is not None:
            features, finite = finite_or_zero(features)
        feature_gradient, classifier_gradients, metrics = self._judge(features, labels, rate, weights, finite)
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        metrics["learning_rate"] = rate / replicas
        self._update_networks(backbone_tape, raw_features, feature_gradient, classifier_gradients, rate, finite)
        return metrics

    def _judge_features(self, features, labels, rate, weights, finite):
        """All that follows the features: the D step, then the gradients of the E, C step.

        Returns:
          (gradient of (16) to the features [N, d], gradients of L^c to C's variables, metrics by name).
        """
        pairs, metrics = None, {}
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        if self._hierarchy is not None:
            count = labels.shape[0]
            probabilities = alignment.class_probabilities(
                labels, self._networks.classifier(features[count:]), self._hierarchy.num_classes
            )
            pairs = [build_pairs(level, labels, probabilities) for level in self._hierarchy.levels]
            metrics["adversarial_weight"] = weights.adversarial / replicas
            metrics["alpha"] = weights.alpha / replicas
            metrics.update(self._update_discriminators(features, pairs, rate, finite))
            if self._settings.method.confidence_threshold > 0:
                metrics["confident_share"] = self._confident_share(probabilities[count:]) / replicas
        feature_gradient, classifier_gradients, losses = self._heads(features, labels, pairs, weights)
        return feature_gradient, classifier_gradients, {**metrics, **losses}

    def _update_discriminators(self, features, pairs, rate, finite) -> dict[str, tf.Tensor]:
        """Equations (14) and (15): minimise L^g + L^l + beta L^syn over D, features fixed."""
        bank = self._networks.discriminators
        variables = bank.trainable_variables
        with tf.GradientTape() as tape:
            scores = self._discriminate(tf.stop_gradient(features), pairs)
            loss = tf.reduce_sum(scores.losses) + self._synchronization(scores)
        self._optimizers.discriminators.apply(tape.gradient(loss, variables), rate, finite)
        return self._describe(scores, pairs)

    def _heads(self, features, labels, pairs, weights):
        """Equation (16) down to the features, and (17) for C.

        Returns:
          (gradient of (16) to the features [N, d], gradients of L^c to C's variables, losses by name).
        """
        classifier = self._networks.classifier
        count = labels.shape[0]
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        with tf.GradientTape() as tape:
            tape.watch(features)
            logits = classifier(features)
            loss, cross_entropy, entropy = classification.classification_loss(
                logits[:count], labels, logits[count:], weights.alpha, replicas
            )
            # P carries no gradient, so alignment reaches C's variables by no path and L^c alone moves C, (17).
            if pairs is not None:
                scores = self._discriminate(features, pairs)
                loss += weights.adversarial * (self._synchronization(scores) - tf.reduce_sum(scores.losses))
        gradients = tape.gradient(loss, [features, *classifier.trainable_variables])
        return gradients[0], gradients[1:], {"loss/cross_entropy": cross_entropy, "loss/entropy": entropy}

    def _update_networks(self, backbone_tape, features, feature_gradient, classifier_gradients, rate, finite) -> None:
        """One backward pass through E for everything that reaches the features, then the updates."""
        extractor = self._networks.extractor
        backbone = [] if self._optimizers.backbone is None else list(extractor.backbone.trainable_variables)
        variables = [*extractor.bottleneck.trainable_variables, *backbone]
        heads = len(extractor.bottleneck.trainable_variables)
        if self._loss_scale is not None:
            feature_gradient = self._loss_scale.scale(feature_gradient)
        gradients = backbone_tape.gradient(features, variables, output_gradients=feature_gradient)
        if self._loss_scale is not None:
            gradients, finite = self._loss_scale.unscale(gradients, finite)
        self._optimizers.heads.apply([*gradients[:heads], *classifier_gradients], rate, finite)
        if backbone:
            self._optimizers.backbone.apply(gradients[heads:], rate, finite)

    def _discriminate(self, features, pairs) -> Scores:
        """Every discriminator on every sample that counts for it: L_k of this share and S_k of the global batch."""
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        batch_size = features.shape[0] * replicas
        losses, magnitudes, logits = [], [], []
        for bank, level in zip(self._networks.discriminators.banks, pairs):
            samples = level.samples(features)
            if self._beta:
                scores, slopes = self._slopes(bank, samples, level.domains)
                magnitudes.append(synchronization.gradient_magnitudes(level.weights, slopes, batch_size))
            else:
                scores = bank(samples)
            entropies = alignment.discrimination_entropy(scores, level.domains)
            losses.append(alignment.alignment_losses(level.weights, entropies, batch_size))
            logits.append(scores)
        if not self._beta:
            return Scores(tf.concat(losses, 0), None, logits)
        whole = tf.concat(magnitudes, 0)
        if replicas > 1:
            # |S - sum S| is not linear: S must be whole before it. The all-reduce is differentiable.
            whole = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, whole)
        return Scores(tf.concat(losses, 0), whole, logits)

    def _synchronization(self, scores: Scores) -> tf.Tensor:
        """This replica's share of beta L^syn: every replica computes the whole, and shares are added up."""
        if scores.magnitudes is None:
            return tf.zeros([])
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        return self._beta * synchronization.synchronization_loss(scores.magnitudes, self._hierarchy) / replicas

    def _describe(self, scores: Scores, pairs) -> dict[str, tf.Tensor]:
        """Losses, S and discriminator accuracy by level, as they were before the update."""
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        metrics = {}
        for (name, part), level, logits in zip(self._hierarchy.slices.items(), pairs, scores.logits):
            right = tf.cast(tf.equal(logits > 0, level.domains > 0.5), tf.float32)
            metrics[f"loss/{name}"] = tf.reduce_sum(scores.losses[part])
            metrics[f"accuracy/discriminator_{name}"] = (
                tf.reduce_sum(level.weights * right) / tf.reduce_sum(level.weights) / replicas
            )
        if scores.magnitudes is not None:
            for name, part in self._hierarchy.slices.items():
                metrics[f"S/{name}"] = tf.reduce_sum(scores.magnitudes[part]) / replicas
            for name, value in synchronization.level_differences(scores.magnitudes, self._hierarchy).items():
                metrics[f"difference/{name}"] = tf.reduce_mean(tf.abs(value)) / replicas
            metrics["loss/synchronization"] = (
                synchronization.synchronization_loss(scores.magnitudes, self._hierarchy) / replicas
            )
        return metrics

    def _confident_share(self, target_probabilities) -> tf.Tensor:
        confident = tf.reduce_max(target_probabilities, axis=-1) >= self._settings.method.confidence_threshold
        return tf.reduce_mean(tf.cast(confident, tf.float32))


@dataclasses.dataclass(frozen=True)
class Scores:
    """What the discriminators say of one batch.

    Attributes:
      losses: L_k, float32 [K], this replica's share.
      magnitudes: S_k, float32 [K], of the global batch; None if the method does not synchronize.
      logits: float32 [n, m] of every level, m samples for each of its n discriminators.
    """

    losses: tf.Tensor
    magnitudes: tf.Tensor | None
    logits: list[tf.Tensor]
