"""Features and logits of whole domains, sharded over the replicas and exact whatever their size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from gsda_tf.data.batches import Share, evaluation_batches
from gsda_tf.data.domain import Domain
from gsda_tf.errors import NotFiniteError
from gsda_tf.settings import DataSettings
from gsda_tf.training.distribution import distribute


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What E and C make of a domain.

    Attributes:
      features: float32 [n, d].
      logits: float32 [n, r].
    """

    features: np.ndarray
    logits: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float32 [n, r]."""
        shifted = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)

    @property
    def predictions(self) -> np.ndarray:
        """int64 [n]."""
        return self.logits.argmax(axis=1)


class Inference:
    """Runs E and C on domains, without training behaviour.

    Args:
      extractor: E: (images, training) -> f.
      classifier: C: f -> logits.
      settings: geometry and batch size.
      strategy: whose replicas share the work.
    """

    def __init__(
        self,
        extractor: Callable,
        classifier: Callable,
        settings: DataSettings,
        strategy: tf.distribute.Strategy,
    ):
        replicas = strategy.num_replicas_in_sync
        self._settings, self._strategy = settings, strategy
        self._batch = -(-settings.evaluation_batch // replicas) * replicas

        def forward(images):
            features = extractor(images, training=False)
            return features, classifier(features)

        @tf.function(reduce_retracing=True, autograph=False)
        def run(images):
            features, logits = strategy.run(forward, args=(images,))
            if replicas == 1:
                return features, logits
            return strategy.gather(features, axis=0), strategy.gather(logits, axis=0)

        self._run = run
        self._kept: dict[int, tuple[Domain, Iterable]] = {}
        self.step: Callable[[], int | None] = lambda: None
        """Of the weights, for messages."""

    def __call__(self, domain: Domain, progress: Callable[[int], None] | None = None, again: bool = False) -> Outputs:
        """E and C of every image of `domain`, in order.

        Raises:
          NotFiniteError: a feature or a logit is not finite.

        Args:
          domain: n images, n > 0.
          progress: called with the number of images after each batch.
          again: the same domain will be asked for again. Its pipeline is kept, which takes as long to build as a small
            domain to run through.
        """

        features, logits = [], []
        _, batches = self._kept.get(id(domain)) or (domain, self._batches(domain))
        if again:
            self._kept[id(domain)] = domain, batches  # the domain, too: no other can have its id meanwhile
        for images in batches:
            f, z = self._run(images)
            features.append(f.numpy())
            logits.append(z.numpy())
            if progress is not None:
                progress(self._batch)
        outputs = Outputs(np.concatenate(features)[: len(domain)], np.concatenate(logits)[: len(domain)])
        for what, values in (("features", outputs.features), ("logits", outputs.logits)):
            bad = int((~np.isfinite(values)).any(axis=1).sum())
            if bad:
                raise NotFiniteError(f"the {what} of {bad:,} of {len(domain):,} images of {domain.name}", self.step())
        return outputs

    def _batches(self, domain: Domain) -> Iterable:
        def dataset(share: Share) -> tf.data.Dataset:
            return evaluation_batches(domain, self._settings, self._batch, share)

        return distribute(self._strategy, dataset)
