"""Batches: the plan of `sampling` made into images by tf.data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from gsda_tf.data import pipeline
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.sampling import BalancedSampler, hash_key, uniform_sampler
from gsda_tf.settings import DataSettings

_SOURCE, _TARGET, _AGAIN, _TAUGHT = 1, 2, 3, 4


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of every global batch that one worker feeds to its replicas.

    Attributes:
      replicas: equal parts of a global batch.
      first: the worker's first part.
      count: how many parts are the worker's.
    """

    replicas: int = 1
    first: int = 0
    count: int = 1

    def of(self, plan: np.ndarray) -> np.ndarray:
        """This worker's part of a plan.

        Args:
          plan: [steps, batch], batch a multiple of `replicas`.

        Returns:
          [steps * count, batch / replicas]: one row for each replica in turn.
        """
        steps, batch = plan.shape
        parts = plan.reshape(steps, self.replicas, batch // self.replicas)
        return parts[:, self.first : self.first + self.count].reshape(steps * self.count, -1)


class TrainingBatches:
    """The images of every training step, as a function of (seed, step).

    Args:
      data: the task.
      settings: batch sizes, geometry, augmentation.
      seed: of the run.
      images: what the method is fed, of "source", "target" and "target_again".
    """

    def __init__(self, data: TaskData, settings: DataSettings, seed: int, images: Sequence[str] = ("source", "target")):
        self._data, self._settings, self._seed = data, settings, seed
        source = data.source
        self._source = BalancedSampler(source.labels, seed, _SOURCE, source.places) if len(source) else None
        self.source_batch = settings.source_batch if self._source else 0
        self._views = tuple(name for name in images if name != "source")
        self.target_batch = settings.target_batch if self._views else 0
        taught = data.taught
        self._taught = None if taught is None else BalancedSampler(taught, seed, _TAUGHT)

    def target_sampler(self, pool: np.ndarray | None, since: int) -> BalancedSampler:
        """Draws from the confident target samples, balanced over the predicted classes (section 3.1).

        Args:
          pool: int [nt], predicted class of each target image, -1 where not confident; None, or nothing
            confident: the whole target set.
          since: step of the labelling, so that each labelling has a stream of its own.
        """
        if pool is None or not (pool >= 0).any():
            return uniform_sampler(len(self._data.target), self._seed, _TARGET)
        return BalancedSampler(pool, self._seed, int(hash_key(_TARGET, since) >> np.uint64(1)))

    def plan(self, first: int, last: int, pool: np.ndarray | None = None, since: int = 0):
        """Indices of the images of steps first..last-1: (source [steps, Bs], target [steps, Bt])."""
        steps = np.arange(first, last, dtype=np.int64)[:, None]
        bs, bt = self.source_batch, self.target_batch
        source = self._source.indices(steps * bs + np.arange(bs)) if self._source else np.zeros((0, 0))
        if not bt:
            return source, np.zeros((0, 0))
        count = 0 if self._taught is None else max(1, round(self._settings.target_label_share * bt))
        target = self.target_sampler(pool, since).indices(steps * (bt - count) + np.arange(bt - count))
        if count:
            taught, every = self._taught.indices(steps * count + np.arange(count)), target
            # Spread, so that each replica has some.
            places = np.arange(count) * bt // count
            target = np.insert(every, places - np.arange(count), taught, axis=1)
        return source, target

    def spec(self, one: tf.TensorSpec, replicas: int = 1) -> dict[str, tf.TensorSpec]:
        """Returns the tensors of one replica in a step, by name; `one` is an image or features, without the batch."""
        count, spec = self.source_batch // replicas, {}
        if count:
            spec["source_images"] = tf.TensorSpec((count, *one.shape), one.dtype)
            spec["source_labels"] = tf.TensorSpec((count,), tf.int32)
        if self._views:
            spec["target_indices"] = tf.TensorSpec((self.target_batch // replicas,), tf.int64)
        for name in self._views:
            spec[f"{name}_images"] = tf.TensorSpec((self.target_batch // replicas, *one.shape), one.dtype)
        return spec

    def dataset(
        self, first: int, last: int, pool: np.ndarray | None = None, since: int = 0, share: Share | None = None
    ) -> tf.data.Dataset:
        """Batches of steps first..last-1.

        Returns:
          One element a step and replica: {"source_images": uint8 [bs, S, S, 3], "source_labels": int32 [bs],
          "target_images": uint8 [bt, S, S, 3], "target_again_images", "target_indices": int64 [bt], which images of
          the target set these are}, the last three only if the method is fed the target. Where the domains hold
          features, they stand in place of images, float32 [.., e].
        """
        share = share or Share()
        source, target = self.plan(first, last, pool, since)
        streams = {}
        if self._source:
            streams["source_images"] = self._images(self._data.source, source, _SOURCE, first, share)
            labels = self._data.source.labels[share.of(source)].astype(np.int32)
            streams["source_labels"] = tf.data.Dataset.from_tensor_slices(labels)
        if self._views:
            streams["target_indices"] = tf.data.Dataset.from_tensor_slices(share.of(target))
        for name in self._views:
            stream = {"target": _TARGET, "target_again": _AGAIN}[name]
            streams[f"{name}_images"] = self._images(self._data.target, target, stream, first, share)
        return tf.data.Dataset.zip(streams).with_options(pipeline.options()).prefetch(pipeline.AHEAD)

    def _images(self, domain: DomainData, plan: np.ndarray, stream: int, first: int, share: Share) -> tf.data.Dataset:
        """One element a row of the worker's part of `plan`: [row, ...]."""
        slots = first * plan.shape[1] + np.arange(plan.size, dtype=np.int64).reshape(plan.shape)
        seeds = np.stack([np.full_like(slots, self._seed * 4 + stream), slots], axis=-1)
        indices = share.of(plan)
        seeds = np.stack([share.of(seeds[..., 0]), share.of(seeds[..., 1])], axis=-1)
        return domain.records.training(indices, seeds, self._settings)


def evaluation_batches(
    domain: DomainData, settings: DataSettings, batch: int, share: Share | None = None
) -> tf.data.Dataset:
    """All images of a domain in order, without random changes.

    The last batch is filled up with the first image, so that every batch has the same shape; the reader drops
    what lies past the domain's size.

    Args:
      domain: n images, or their features.
      settings: geometry.
      batch: images in a global batch, a multiple of the replicas.
      share: of the batches.

    Returns:
      ceil(n / batch) elements for each replica: uint8 [batch / replicas, S, S, 3], or float32 [.., e] of features.
    """
    indices = np.zeros(-(-len(domain) // batch) * batch, np.int64)
    indices[: len(domain)] = np.arange(len(domain))
    seen = domain.records.evaluation((share or Share()).of(indices.reshape(-1, batch)), settings)
    return seen.with_options(pipeline.options()).prefetch(pipeline.AHEAD)
