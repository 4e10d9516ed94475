"""One training step of a method: (14)-(17) for GSDA. It runs in a replica context, inside a `tf.function`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import tensorflow as tf

from gsda_tf.methods.base import Method, Term
from gsda_tf.methods.optimizer import Adam, MomentumSGD, Optimizer, learning_rate
from gsda_tf.methods.precision import LossScale
from gsda_tf.methods.step import EXTRACTOR_PARTS, IMAGES, Step
from gsda_tf.settings import Settings


class TrainingStep:
    """Updates the networks of a method once a call; no Python is left in it once traced.

    Build it under the strategy's scope.

    Args:
      extractor: E.
      method: whose step it is.
      terms: losses added to its own.
      settings: rates and schedules.

    Attributes:
      images: of `step.IMAGES`, what the step is fed: what the method and its terms ask for.
      groups: variables that are trained, by the name of their optimizer: E in two parts, C, the adversaries.
      optimizers: by the same names, or by "PHASE/NAME" for Adam, which takes its place in a phase.
      loss_scale: of the backbone's backward pass, in float16.
      compile_heads: whether XLA compiles the losses.
      apart: whether source and target go through E one after the other, each with the statistics of its own batch.
    """

    def __init__(self, extractor, method: Method, terms: Sequence[Term], settings: Settings):
        self.extractor, self.method, self.terms, self._options = extractor, method, terms, settings.optimization
        wanted = {*method.images, *itertools.chain.from_iterable(term.images for term in terms)}
        self.images = tuple(name for name in IMAGES if name in wanted)
        self.loss_scale = LossScale() if settings.device.precision == "mixed_float16" else None
        self.compile_heads, self.seed = settings.device.jit_compile == "heads", settings.run.seed
        self.apart = settings.model.bottleneck_norm == "batch"
        parts = {name: getattr(extractor, name) for name in EXTRACTOR_PARTS}
        parts.update({"classifier": method.classifier, **method.adversaries})
        if not method.problem.num_source:  # as it was learnt from the source, it stays
            del parts["classifier"]
        trained = {name: list(part.trainable_variables) for name, part in parts.items() if method.phases}
        self.groups = {name: group for name, group in trained.items() if group}
        self.optimizers = self._optimizers()

    def _optimizers(self) -> dict[str, Optimizer]:
        """The backbone moves at a share of the learning rate, new layers at the full one, adversaries at a rate of
        theirs; what Adam moves in a phase of the method, at the rate that this says."""
        options, method = self._options, self.method
        rates = {"backbone": options.backbone_rate, "classifier": method.classifier_rate}
        rates.update(dict.fromkeys(method.adversaries, options.discriminator_rate))
        optimizers: dict[str, Optimizer] = {
            name: MomentumSGD(group, options.momentum, options.weight_decay, rates.get(name, 1.0))
            for name, group in self.groups.items()
        }
        for phase in method.phases:
            for name, rate in method.adam_rates(phase).items():
                for part in EXTRACTOR_PARTS if name == "extractor" else (name,):
                    if part in self.groups:
                        optimizers[f"{phase}/{part}"] = Adam(self.groups[part], rate)
        return optimizers

    def __call__(self, batch: dict[str, tf.Tensor], step: tf.Tensor, phase: str | None = None) -> dict[str, tf.Tensor]:
        """Updates the networks once.

        Args:
          batch: this replica's share of "source_labels" int32 [Ns], of each of `images` "<name>_images"
            [N, S, S, 3], or what the frozen part of E makes of them, and of "target_indices" int64 [Nt].
          step: int64 scalar, steps done so far.
          phase: of the method; None is its last.

        Returns:
          Float32 scalars by name; the sum over replicas is the value for the global batch.
        """
        progress = tf.cast(step, tf.float32) / self._options.steps
        rate = learning_rate(self._options.learning_rate, self._options.rate_decay, progress)
        one = Step(self, batch, step, phase or self.method.phases[-1], progress, rate)
        self.method.step(one)
        one.update()
        for term in self.terms:
            term.after(one)
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        return {**one.metrics, "learning_rate": rate / replicas}

    def state(self) -> dict[str, list[tf.Variable]]:
        """Returns what a checkpoint holds of it, by name: velocities, the loss scale, and what terms keep."""
        scale = self.loss_scale
        state = {} if scale is None else {"loss_scale": [scale.value, scale.good_steps]}
        state.update({f"{t.name}_{name}": [kept] for t in self.terms for name, kept in t.kept.items()})
        return {**state, **{f"{name}_velocities": o.velocities for name, o in self.optimizers.items()}}
