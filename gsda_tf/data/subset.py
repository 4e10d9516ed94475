"""Some images of a domain, as a domain."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gsda_tf.data.domain import Domain, Records


def evenly(size: int, most: int) -> np.ndarray:
    """At most `most` indices, evenly spread over 0..size-1; int64."""
    return np.arange(size) if size <= most else np.linspace(0, size - 1, most).round().astype(np.int64)


class ChosenRecords:
    """Some of the images of `records`.

    Args:
      records: n images.
      chosen: int64 indices into them.
    """

    def __init__(self, records: Records, chosen: np.ndarray):
        self._records, self._chosen = records, chosen
        self.encoded = records.encoded
        pixels = getattr(records, "images", None)
        if pixels is not None:
            self.images = pixels[chosen]

    def __len__(self) -> int:
        return len(self._chosen)

    def name(self, index: int) -> str:
        return self._records.name(int(self._chosen[index]))

    def load(self, index: tf.Tensor) -> tf.Tensor:
        return self._records.load(tf.gather(tf.constant(self._chosen, tf.int64), index))


def subset(domain: Domain, chosen: np.ndarray) -> Domain:
    """The images `chosen` of a domain, int64 indices."""
    return (
        domain
        if len(chosen) == len(domain)
        else Domain(domain.name, ChosenRecords(domain.records, chosen), domain.labels[chosen])
    )
