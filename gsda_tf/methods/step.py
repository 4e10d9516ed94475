"""Parts of one training step: E forward, descents down losses, one backward pass through E each time.

The gradients of all losses meet at the features and go through E once: a loss costs what its heads cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from gsda_tf.methods.batch import Batch, gather_rows
from gsda_tf.methods.optimizer import Optimizer
from gsda_tf.methods.precision import finite_or_zero

IMAGES = ("source", "target", "target_again")
"""What a step may be fed, in the order of a batch; the last is another random view of the target's images."""
EXTRACTOR_PARTS = ("backbone", "bottleneck")


class Step:
    """One step, as a method's `step` sees it.

    Args:
      networks: the `training_step.TrainingStep` that takes it: what is moved, and by what.
      batch: what that is fed.
      step: int64 scalar, steps done so far.
      phase: of the method.
      progress: p.
      rate: learning rate, float32 scalar.

    Attributes:
      images: this replica's share of each of the method's `images`, by name.
      target_indices: int64 [Nt], places of this share's target images in the target set; None if they are not fed.
      labels: int32 [Ns], of the source.
      phase: of the method.
      progress: p, float32 scalar 0..1.
      adapted: the batch that E, and the terms, first went down by; None before.
    """

    def __init__(self, networks: Any, batch: Mapping[str, tf.Tensor], step: tf.Tensor, phase: str, progress, rate):
        self._networks, self._rate = networks, rate
        self.phase, self.progress = phase, progress
        self.images = {name: batch[f"{name}_images"] for name in IMAGES if f"{name}_images" in batch}
        self.labels = batch.get("source_labels", tf.zeros([0], tf.int32))
        if "source" not in self.images:  # a run is adapted without its source
            self.images["source"] = self.images["target"][:0]
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
        networks, fixed = self._networks, fixed or {}
        names = names or tuple(name for name in ("source", "target") if name in networks.method.images)
        wanted = {*names, *(name for term in self._terms for name in term.images)}
        names = tuple(name for name in IMAGES if name in wanted)
        seen = [name for name in names if name not in fixed]
        with tf.GradientTape() as tape:
            # No images have no statistics.
            lots = [[name] for name in seen if self.images[name].shape[0]] if networks.apart else [seen]
            given = [tf.concat([self.images[name] for name in lot], axis=0) for lot in lots]
            features = tf.concat([networks.extractor(images, training=True) for images in given], axis=0)
            if fixed:
                parts = tf.split(features, [self.images[name].shape[0] for name in seen], axis=0)
                every = {**dict(zip(seen, parts)), **fixed}
                features = tf.concat([every[name] for name in names], axis=0)
        self._backward = tape, features
        if networks.loss_scale is not None:
            features, self._finite = finite_or_zero(features)
        indices = self.target_indices if any(name != "source" for name in names) else None
        return Batch(features, self.labels, networks.method.classifier, self.progress, self._seed, indices)

    def descend(self, loss: Callable[[Batch], tf.Tensor], batch: Batch, *names: str) -> None:
        """Moves the named networks down a loss.

        What is named together with "extractor" moves with it, after the one backward pass through E: at the next
        `forward`, or at the end of the step. The first loss of a step that moves E has the added terms in it.

        Args:
          loss: batch -> this replica's share of the loss.
          batch: of the newest `forward`.
          *names: "extractor", "classifier", or an adversary's.
        """
        networks, deep = self._networks, "extractor" in names
        terms = self._terms if deep else []
        if deep:
            self.adapted, self._terms = self.adapted or batch, []

        def compute():
            view, moved = batch.view(), {name: networks.groups[name] for name in names if name in networks.groups}
            with tf.GradientTape() as tape:
                if deep:
                    tape.watch(view.features)
                    moved["features"] = [view.features]
                else:
                    view.features = tf.stop_gradient(view.features)
                value = loss(view)
                for term in terms:
                    value += view.log(f"loss/{term.name}", term.loss(view))
            return tape.gradient(value, moved), view.metrics

        if networks.compile_heads:
            compute = tf.function(compute, jit_compile=True, autograph=False)
        gradients, metrics = compute()
        self.metrics.update(metrics)
        for name, group in gradients.items():
            if deep:
                before = self._pending.get(name, [None] * len(group))
                self._pending[name] = [b if a is None else a if b is None else a + b for a, b in zip(before, group)]
            else:
                self._optimizer(name).apply(group, self._rate, self._finite)

    def update(self) -> None:
        """Sends what is pending through E and applies it. Called by `forward` and at the end of the step."""
        if not self._pending:
            return
        networks, pending, finite = self._networks, self._pending, self._finite
        tape, features = self._backward
        (gradient,) = pending.pop("features")
        gradient = tf.zeros_like(features) if gradient is None else gradient
        if networks.loss_scale is not None:
            gradient = networks.loss_scale.scale(gradient)
        parts = {name: networks.groups[name] for name in EXTRACTOR_PARTS if name in networks.groups}
        gradients = tape.gradient(features, parts, output_gradients=gradient)
        if networks.loss_scale is not None:
            gradients, finite = networks.loss_scale.unscale(gradients, finite)
        for name, group in {**pending, **gradients}.items():
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


def _on_every_replica(variable: tf.Variable, change: Callable, *values: tf.Tensor) -> None:
    """Calls `change(variable, *values)` for every copy of a variable, from a replica context."""
    tf.distribute.get_replica_context().merge_call(
        lambda strategy, *args: strategy.extended.update(variable, change, args=args, group=False), args=values
    )
