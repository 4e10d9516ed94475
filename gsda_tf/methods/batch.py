"""One training step, as a loss sees it: features, logits, labels, and sums over the global batch."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from gsda_tf.losses import domain_labels


class Batch:
    """One replica's share of a global batch; Ns source samples, then Nt target samples.

    A loss returns *this replica's share*: what all replicas return adds up to the loss of the global batch. A mean or
    a sum over samples is that by `mean` and `sum`. What is not linear in such sums takes them from `total`, over the
    global batch, before it bends them; what needs all samples at once (kernels, singular values, a confusion matrix)
    takes them from `whole`.

    Attributes:
      features: f, float32 [Ns + Nt, d], source first.
      labels: int32 [Ns], of the source.
      num_source: Ns.
      progress: p, float32 scalar 0..1.
      target_indices: int64 [Nt], places of the target samples in the target set, 0..num_target-1; None without them.
      seed: int32 [2], another one at each step, the same on all replicas: for `tf.random.stateless_*`.
      replicas: into how many shares the global batch is split.
    """

    def __init__(
        self,
        features: tf.Tensor,
        labels: tf.Tensor,
        classifier: Callable[[tf.Tensor], tf.Tensor],
        progress: tf.Tensor,
        seed: tf.Tensor,
        target_indices: tf.Tensor | None = None,
    ):
        self.features, self.labels, self.num_source = features, labels, labels.shape[0]
        self.target_indices = target_indices
        self.progress, self.seed = progress, seed
        self.replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        self.metrics: dict[str, tf.Tensor] = {}
        self._classifier = classifier
        self._logits: tf.Tensor | None = None
        self._whole: Batch | None = None

    @property
    def source(self) -> tf.Tensor:
        """Features of the source samples, [Ns, d]."""
        return self.features[: self.num_source]

    @property
    def target(self) -> tf.Tensor:
        """Features of the target samples, [Nt, d]."""
        return self.features[self.num_source :]

    # Remembered by hand: before Python 3.12 `functools.cached_property` holds a lock over all objects while it
    # computes, and each replica's thread waits in it for the others.
    @property
    def logits(self) -> tf.Tensor:
        """C of all samples, float32 [Ns + Nt, r]."""
        if self._logits is None:
            self._logits = self._classifier(self.features)
        return self._logits

    @property
    def source_logits(self) -> tf.Tensor:
        """Logits of the source samples, [Ns, r]."""
        return self.logits[: self.num_source]

    @property
    def target_logits(self) -> tf.Tensor:
        """Logits of the target samples, [Nt, r]."""
        return self.logits[self.num_source :]

    @property
    def domains(self) -> tf.Tensor:
        """d, float32 [Ns + Nt]: 1 for source, 0 for target."""
        return domain_labels(self.num_source, self.features.shape[0] - self.num_source)

    def view(self) -> Batch:
        """The same features, on which nothing was computed yet."""
        indices = self.target_indices
        return type(self)(self.features, self.labels, self._classifier, self.progress, self.seed, indices)

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        """This share's part of the mean over the global batch; `values` has one row a sample. 0 without samples."""
        if values.shape[0] == 0:
            return tf.zeros([], values.dtype)
        return tf.reduce_mean(values) / self.replicas

    def share(self, value: tf.Tensor) -> tf.Tensor:
        """This replica's share of a scalar that every replica has computed for the global batch."""
        return value / self.replicas

    def total(self, shares: tf.Tensor) -> tf.Tensor:
        """The sum over replicas of what is additive; differentiable."""
        if self.replicas == 1:
            return shares
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, shares)

    @property
    def whole(self) -> Batch:
        """The global batch, samples in the order of the plan. Every replica backpropagates its own samples, so a loss
        of it has to be divided by `share`, or made by `mean`."""
        if self.replicas == 1:
            return self
        if self._whole is None:
            indices = None if self.target_indices is None else gather_rows(self.target_indices)
            features, labels = self._gather(self.features), gather_rows(self.labels)
            self._whole = _Whole(features, labels, self._classifier, self.progress, self.seed, indices)
            # Each replica's C has judged its own samples: C's gradients, too, are shares.
            self._whole._logits, self._whole.metrics = self._gather(self.logits), self.metrics
        return self._whole

    def log(self, name: str, share: tf.Tensor) -> tf.Tensor:
        """Writes a number to the log by name: this replica's share of it. Returns the share."""
        self.metrics[name] = share
        return share

    def _gather(self, values: tf.Tensor) -> tf.Tensor:
        """Rows of all samples of the global batch, [Ns + Nt, ...] here -> [R (Ns + Nt), ...], in the plan's order."""
        parts = values[: self.num_source], values[self.num_source :]
        return tf.concat([gather_rows(part) for part in parts], axis=0)


def gather_rows(rows: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas, [n, ...] on each -> [R n, ...], in the order of the replicas; differentiable."""
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas == 1 or not rows.shape[0]:  # without a source there are none of it, and empty tensors crash a reduction
        return rows
    # By an all-reduce of rows in their places: it is differentiable in every strategy, all_gather is not.
    count, dtype = rows.shape[0], rows.dtype
    before = count * context.replica_id_in_sync_group
    after = count * (replicas - 1) - before
    padding = [[before, after]] + [[0, 0]] * (rows.shape.rank - 1)
    placed = tf.pad(tf.cast(rows, tf.float64) if dtype.is_integer else rows, padding)  # exact up to 2^53
    placed = tf.ensure_shape(placed, [count * replicas, *rows.shape[1:]])
    return tf.cast(context.all_reduce(tf.distribute.ReduceOp.SUM, placed), dtype)


class _Whole(Batch):
    """A batch that holds all samples on every replica."""

    def total(self, shares: tf.Tensor) -> tf.Tensor:
        return shares * self.replicas

    @property
    def whole(self) -> Batch:
        return self
