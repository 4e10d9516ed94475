"""One training step of a method: (14)-(17) for GSDA. It runs in a replica context, inside a `tf.function`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import tensorflow as tf

from gsda_tf.methods import schedules
from gsda_tf.methods.base import Method, Term
from gsda_tf.methods.optimizer import Adam, MomentumSGD, Optimizer
from gsda_tf.methods.precision import LossScale
from gsda_tf.methods.step import EXTRACTOR_PARTS, IMAGES, Networks, Step
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
      networks: what is moved.
    """

    def __init__(self, extractor, method: Method, terms: Sequence[Term], settings: Settings):
        self._method, self._terms, self._options = method, terms, settings.optimization
        wanted = {*method.images, *itertools.chain.from_iterable(term.images for term in terms)}
        self.images = tuple(name for name in IMAGES if name in wanted)
        parts = {name: getattr(extractor, name) for name in EXTRACTOR_PARTS}
        parts.update({"classifier": method.classifier, **method.adversaries})
        groups = {name: list(part.trainable_variables) for name, part in parts.items() if part.trainable_variables}
        self.networks = Networks(
            extractor,
            method.classifier,
            groups,
            self._optimizers(groups),
            terms,
            method.images,
            LossScale() if settings.device.precision == "mixed_float16" else None,
            settings.device.jit_compile == "heads",
            settings.run.seed,
        )

    def _optimizers(self, groups: Mapping[str, Sequence[tf.Variable]]) -> dict[str, Optimizer]:
        """One by the name of each group, and "PHASE/NAME" where Adam moves it in a phase of the method."""
        optimizers: dict[str, Optimizer] = {}
        for phase in self._method.phases:
            rates = dict(self._method.adam_rates(phase))
            if "extractor" in rates:
                rates.update(dict.fromkeys(EXTRACTOR_PARTS, rates.pop("extractor")))
            optimizers.update({f"{phase}/{name}": Adam(groups[name], rates[name]) for name in rates if name in groups})
        sgd = {name: self._optimizer(name, group) for name, group in groups.items()} if self._method.phases else {}
        return {**sgd, **optimizers}

    def _optimizer(self, name: str, variables: Sequence[tf.Variable]) -> MomentumSGD:
        """The backbone at a share of the learning rate, new layers at the full one, adversaries at a rate of theirs."""
        options = self._options
        adversaries = dict.fromkeys(self._method.adversaries, options.discriminator_rate)
        rates = {"backbone": options.backbone_rate, "classifier": self._method.classifier_rate, **adversaries}
        rate = rates.get(name, 1.0)
        return MomentumSGD(variables, momentum=options.momentum, weight_decay=options.weight_decay, rate=rate)

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
        rate = schedules.learning_rate(self._options.learning_rate, self._options.rate_decay, progress)
        one = Step(self.networks, batch, step, phase or self._method.phases[-1], progress, rate)
        self._method.step(one)
        one.update()
        for term in self._terms:
            term.after(one)
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        return {**one.metrics, "learning_rate": rate / replicas}

    def state(self) -> dict[str, list[tf.Variable]]:
        """Returns what a checkpoint holds of it, by name: velocities, the loss scale, and what terms keep."""
        scale = self.networks.loss_scale
        state = {} if scale is None else {"loss_scale": [scale.value, scale.good_steps]}
        state.update({f"{t.name}_{name}": [kept] for t in self._terms for name, kept in t.kept.items()})
        return {**state, **{f"{name}_velocities": o.velocities for name, o in self.networks.optimizers.items()}}
