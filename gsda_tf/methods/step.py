"""Parts of one training step: E forward, descents down losses, one backward pass through E each time.

The gradients of all losses meet at the features and go through E once: a loss costs what its heads cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from gsda_tf.methods.batch import Batch, gather_rows
from gsda_tf.methods.optimizer import Optimizer
from gsda_tf.methods.precision import LossScale, finite_or_zero

IMAGES = ("source", "target", "target_again")
"""What a step may be fed, in the order of a batch; the last is another random view of the target's images."""
EXTRACTOR_PARTS = ("backbone", "bottleneck")


@dataclasses.dataclass(frozen=True)
class Networks:
    """The networks that a step moves, and their optimizers.

    Attributes:
      extractor: E.
      classifier: C.
      groups: variables that are trained, by the name of their optimizer: E in two parts, C, the adversaries.
      optimizers: by the same names, or by "PHASE/NAME" for one that takes its place in a phase.
      terms: losses added to the first that moves E; each has a `name`, `images` and a `loss`.
      images: of `IMAGES`, what the method works with unless it says so.
      loss_scale: of the backbone's backward pass.
      compile_heads: whether XLA compiles the losses.
      seed: of the run.
    """

    extractor: Any
    classifier: Any
    groups: Mapping[str, Sequence[tf.Variable]]
    optimizers: Mapping[str, Optimizer]
    terms: Sequence[Any] = ()
    images: Sequence[str] = IMAGES[:2]
    loss_scale: LossScale | None = None
    compile_heads: bool = False
    seed: int = 0


class Step:
    """One step, as a method's `step` sees it.

    Attributes:
      images: this replica's share of each of the method's `images`, by name.
      target_indices: int64 [Nt], places of this share's target images in the target set; None if they are not fed.
      labels: int32 [Ns], of the source.
      phase: of the method.
      progress: p, float32 scalar 0..1.
      adapted: the batch that E, and the terms, first went down by; None before.
    """

    def __init__(self, networks: Networks, batch: Mapping[str, tf.Tensor], step: tf.Tensor, phase: str, progress, rate):
        self._networks, self._rate = networks, rate
        self.phase, self.progress, self.labels = phase, progress, batch["source_labels"]
        self.images = {name: batch[f"{name}_images"] for name in IMAGES if f"{name}_images" in batch}
        self.target_indices = batch.get("target_indices")
        self.metrics: dict[str, tf.Tensor] = {}
        self._seed = tf.stack([tf.constant(networks.seed % 2**31, tf.int32), tf.cast(step, tf.int32)])
        self._terms = list(networks.terms)
        self.adapted: Batch | None = None
        self._backward: tuple | None = None
        self._finite: tf.Tensor | None = None
        self._pending: dict[str, list[tf.Tensor | None]] = {}

    def forward(self, *names: str, fixed: Mapping[str, tf.Tensor] | None = None) -> Batch:
        """Runs E in training behaviour on one batch of the images; what was pending is applied before.

        Args:
          *names: of `images`; by default the source's and, if the method has them, the target's. What an added term
            asks for besides is in the first batch of a step, too.
          fixed: features [N, d] that take the place of E's, by name of their images; not moved by any loss.
        """
        self.update()
        fixed = dict(fixed or {})
        names = names or tuple(name for name in ("source", "target") if name in self._networks.images)
        wanted = {*names, *(name for term in self._terms for name in term.images)}
        names = tuple(name for name in IMAGES if name in wanted)
        seen = [name for name in names if name not in fixed]
        images = tf.concat([self.images[name] for name in seen], axis=0)
        with tf.GradientTape() as tape:
            raw = self._networks.extractor(images, training=True)
        features = raw
        if self._networks.loss_scale is not None:
            features, self._finite = finite_or_zero(features)
        sizes = [self.images[name].shape[0] for name in seen]
        parts = dict(zip(seen, tf.split(features, sizes, axis=0))) if fixed else {}
        joined = tf.concat([fixed[n] if n in fixed else parts[n] for n in names], axis=0) if fixed else features
        self._backward = (tape, raw, [slice(None)] if not fixed else self._rows(names, seen))
        indices = self.target_indices if any(name != "source" for name in names) else None
        return Batch(joined, self.labels, self._networks.classifier, self.progress, self._seed, indices)

    def descend(self, loss: Callable[[Batch], tf.Tensor], batch: Batch, *names: str) -> None:
        """Moves the named networks down a loss.

        What is named together with "extractor" moves with it, after the one backward pass through E: at the next
        `forward`, or at the end of the step. The first loss of a step that moves E has the added terms in it.

        Args:
          loss: batch -> this replica's share of the loss.
          batch: of the newest `forward`.
          *names: "extractor", "classifier", or an adversary's.
        """
        deep = "extractor" in names
        self.adapted = self.adapted or (batch if deep else None)
        terms = self._terms if deep else []
        if deep:
            self._terms = []
        names = tuple(name for name in names if name in self._networks.groups)
        variables = [self._networks.groups[name] for name in names]
        compiled = self._networks.compile_heads

        def compute():
            # What a compiled function remembers cannot leave it.
            memory = {} if compiled else batch.memory
            return self._gradients(loss, batch.view(memory), terms, variables, deep)

        if compiled:
            compute = tf.function(compute, jit_compile=True, autograph=False)
        gradient, gradients, metrics = compute()
        self.metrics.update(metrics)
        if not deep:
            for name, group in zip(names, gradients):
                self._optimizer(name).apply(group, self._rate, self._finite)
            return
        self._add("features", [gradient])
        for name, group in zip(names, gradients):
            self._add(name, group)

    def update(self) -> None:
        """Sends what is pending through E and applies it. Called by `forward` and at the end of the step."""
        if not self._pending:
            return
        networks, pending = self._networks, self._pending
        tape, features, rows = self._backward
        gradient = pending.pop("features")[0]
        if gradient is None:
            gradient = tf.zeros_like(features)
        elif len(rows) > 1 or rows[0] != slice(None):
            gradient = tf.concat([gradient[part] for part in rows], axis=0)
        parts = [name for name in EXTRACTOR_PARTS if name in networks.groups]
        variables = [variable for name in parts for variable in networks.groups[name]]
        finite = self._finite
        if networks.loss_scale is not None:
            gradient = networks.loss_scale.scale(gradient)
        gradients = tape.gradient(features, variables, output_gradients=gradient)
        if networks.loss_scale is not None:
            gradients, finite = networks.loss_scale.unscale(gradients, finite)
        gradients = iter(gradients)
        for name in parts:
            pending[name] = [next(gradients) for _ in networks.groups[name]]
        for name, group in pending.items():
            self._optimizer(name).apply(group, self._rate, finite)
        self._pending = {}

    def assign(self, variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
        """Gives variables of `kept` new values, which must be the same on every replica."""
        for variable, value in zip(variables, values):
            _on_every_replica(variable, lambda v, x: v.assign(x), value)

    def remember(self, memory: tf.Variable, rows: tf.Tensor, indices: tf.Tensor | None = None) -> None:
        """Writes rows of a variable of `kept` that holds something of every image, such as what C said of it last.

        On any number of replicas the variable holds the same afterwards. Where an image is in the global batch twice,
        its last row counts.

        Args:
          memory: [num_target, ...], untrained.
          rows: [Nt, ...], of this replica's share of the batch; no gradient comes from here.
          indices: int64 [Nt], places of the rows in `memory`; None: `target_indices`.
        """
        indices = gather_rows(self.target_indices if indices is None else indices)
        rows = gather_rows(tf.stop_gradient(tf.cast(rows, memory.dtype)))
        count = indices.shape[0]
        same = tf.equal(indices[:, None], indices[None, :])
        last = tf.reduce_max(tf.where(same, tf.range(count)[None, :], -1), axis=1)
        # Doubles write the same, so that their order, which no device promises, does not matter.
        _on_every_replica(
            memory, lambda v, i, x: v.scatter_update(tf.IndexedSlices(x, i)), indices, tf.gather(rows, last)
        )

    def _optimizer(self, name: str) -> Optimizer:
        """Of a network in this phase."""
        optimizers = self._networks.optimizers
        return optimizers.get(f"{self.phase}/{name}", optimizers[name])

    def log(self, name: str, share: tf.Tensor) -> None:
        """Writes a number to the log: this replica's share of it."""
        self.metrics[name] = share

    @staticmethod
    def _gradients(loss, view: Batch, terms, variables, deep: bool):
        """(gradient to the features or None, gradients by group, metrics)."""
        with tf.GradientTape() as tape:
            if deep:
                tape.watch(view.features)
            else:
                view.features = tf.stop_gradient(view.features)
            value = loss(view)
            for term in terms:
                value += view.log(f"loss/{term.name}", term.loss(view))
        flat = [variable for group in variables for variable in group]
        found = tape.gradient(value, [*([view.features] if deep else []), *flat])
        gradient = found.pop(0) if deep else None
        gradients = [[found.pop(0) for _ in group] for group in variables]
        return gradient, gradients, view.metrics

    def _add(self, name: str, gradients: Sequence[tf.Tensor | None]) -> None:
        before = self._pending.get(name, [None] * len(gradients))
        self._pending[name] = [b if a is None else a if b is None else a + b for a, b in zip(before, gradients)]

    def _rows(self, names: Sequence[str], seen: Sequence[str]) -> list[slice]:
        """Returns where the images that went through E lie among all rows of the batch."""
        ends = [0]
        for name in names:
            ends.append(ends[-1] + self.images[name].shape[0])
        return [slice(a, b) for name, a, b in zip(names, ends, ends[1:]) if name in seen]


def _on_every_replica(variable: tf.Variable, change: Callable, *values: tf.Tensor) -> None:
    """Calls `change(variable, *values)` for every copy of a variable, from a replica context."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        change(variable, *values)
        return
    context.merge_call(
        lambda strategy, *args: strategy.extended.update(variable, change, args=args, group=False), args=values
    )
