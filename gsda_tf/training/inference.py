"""Features and logits of whole domains, sharded over the replicas and exact whatever their size."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import scipy.special
import tensorflow as tf

from gsda_tf.data.batches import Share, evaluation_batches
from gsda_tf.data.domain import DomainData
from gsda_tf.errors import NotFiniteError
from gsda_tf.progress import progress
from gsda_tf.settings import DataSettings
from gsda_tf.training.distribution import distribute

_MOST_PIXELS = 2**25
"""Of a batch; 128 images of 512x512. Settings of a stranger's run may tell of images of any size."""


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Outputs of E and C for a domain.

    Attributes:
      features: float32 [n, d].
      logits: float32 [n, r].
    """

    features: np.ndarray
    logits: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float32 [n, r]."""
        return scipy.special.softmax(self.logits, axis=1)

    @property
    def predictions(self) -> np.ndarray:
        """int64 [n]."""
        return self.logits.argmax(axis=1)


def _on_replicas(strategy: tf.distribute.Strategy, function: Callable, images: Any) -> Any:
    made = strategy.run(function, args=(images,))
    gathered = strategy.num_replicas_in_sync > 1
    return tf.nest.map_structure(lambda x: strategy.gather(x, axis=0), made) if gathered else made


class Sharded:
    """Runs a function on every image of a domain, in order, without training behaviour.

    Args:
      function: images [N, ...] -> a tensor [N, ...], or several.
      settings: geometry and batch size.
      strategy: whose replicas share the work.

    Attributes:
      batch: images in a global batch.
    """

    def __init__(self, function: Callable, settings: DataSettings, strategy: tf.distribute.Strategy):
        replicas = strategy.num_replicas_in_sync
        self._settings, self._strategy = settings, strategy
        wanted = min(settings.evaluation_batch, max(1, _MOST_PIXELS // settings.image_size**2))
        self.batch = -(-wanted // replicas) * replicas

        # A function that is defined here would be one to TensorFlow, however many there are: it warns of the fifth.
        whole = functools.partial(_on_replicas, strategy, function)
        self._run = tf.function(whole, reduce_retracing=True, autograph=False)
        self._kept: dict[int, tuple[DomainData, Iterable]] = {}

    def __call__(
        self, domain: DomainData, progress: Callable[[float], Any] = lambda images: None, again: bool = False
    ) -> list[np.ndarray]:
        """Returns what the function makes of the images of a domain, one array [n, ...] for each of its results.

        Args:
          domain: n images, n > 0.
          progress: called with the number of images after each batch.
          again: the same domain will be asked for again. Its pipeline is kept, which takes as long to build as a small
            domain to run through.
        """

        def dataset(share: Share) -> tf.data.Dataset:
            return evaluation_batches(domain, self._settings, self.batch, share)

        _, batches = self._kept.get(id(domain)) or (domain, distribute(self._strategy, dataset))
        if again:
            self._kept[id(domain)] = domain, batches  # the domain, too: no other can have its id meanwhile
        parts, done = [], 0
        for images in batches:
            parts.append([part.numpy() for part in tf.nest.flatten(self._run(images))])
            now = min(done + self.batch, len(domain))  # the last batch is filled up
            progress(now - done)
            done = now
        return [np.concatenate(part)[: len(domain)] for part in zip(*parts)]


class Inference:
    """Runs E and C on domains, without training behaviour.

    Args:
      extractor: E: (images, training) -> f.
      classifier: C: f -> logits.
      settings: geometry and batch size.
      strategy: whose replicas share the work.
    """

    def __init__(
        self, extractor: Callable, classifier: Callable, settings: DataSettings, strategy: tf.distribute.Strategy
    ):
        def forward(images):
            features = extractor(images, training=False)
            return features, classifier(features)

        self._run = Sharded(forward, settings, strategy)
        self.steps_done: Callable[[], int | None] = lambda: None
        """Of the weights, for messages."""

    def __call__(self, domain: DomainData, again: bool = False) -> Outputs:
        """E and C of every image of `domain`, in order.

        Args:
          domain: n images, n > 0.
          again: see `Sharded`.

        Raises:
          NotFiniteError: a feature or a logit is not finite.
        """
        outputs = self.whatever(domain, again)
        for what, values in (("features", outputs.features), ("logits", outputs.logits)):
            bad = int((~np.isfinite(values)).any(axis=1).sum())
            if bad:
                raise NotFiniteError(
                    f"the {what} of {bad:,} of {len(domain):,} images of {domain.name}", self.steps_done()
                )
        return outputs

    def whatever(self, domain: DomainData, again: bool = False) -> Outputs:
        """The same, finite or not."""
        with progress(total=len(domain), unit=" images", desc=f"asking {domain.name}", leave=False, delay=3) as bar:
            return Outputs(*self._run(domain, bar.update, again))
