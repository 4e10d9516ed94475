"""Small images, decoded once and kept beside the prepared data: then reading a batch costs next to nothing."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from gsda_tf.data import images, pipeline
from gsda_tf.data.augmentation import AUGMENTATIONS
from gsda_tf.data.domain import Domain
from gsda_tf.data.records import ArrayRecords
from gsda_tf.datasets.preparing import prepare
from gsda_tf.progress import progress
from gsda_tf.settings import DataSettings

_BATCH = 256


def load_domain(name: str, split: str, domain: str, settings: DataSettings) -> Domain:
    """As `prepare.load_domain`, with the pixels in memory where every change to an image begins with the same ones.

    Random crops are taken of the images as they are: with an `--augmentation` that crops, or a margin to crop from,
    they stay encoded.

    Args:
      name: of a builder.
      split: of the data set; its n decoded images must fit into memory.
      domain: what tables and messages call it.
      settings: sizes, augmentation, folders.

    Returns:
      A domain of uint8 [n, S, S, 3], S the network's size.

    Raises:
      UserError: see `prepare.load_domain`.
    """
    encoded = prepare.load_domain(name, split, domain, settings)
    if AUGMENTATIONS[settings.augmentation].random_crop or settings.resize_size != settings.image_size:
        return encoded
    size = settings.image_size
    path = os.path.join(str(prepare.prepared_builder(name, settings).data_dir), f"pixels-{split}-{size}.npy")
    return Domain(domain, ArrayRecords(_pixels(encoded, size, path), f"{name}/{split}"), encoded.labels)


def _pixels(domain: Domain, size: int, path: str) -> np.ndarray:
    """uint8 [n, size, size, 3], from the file at `path` if it holds them."""
    pixels = np.empty((len(domain), size, size, 3), np.uint8)
    if prepare.read_beside(path, pixels):
        return pixels
    geometry = images.ImageGeometry(size, size)

    @tf.autograph.experimental.do_not_convert  # as `Records.load`
    def decode(index: tf.Tensor) -> tf.Tensor:
        return images.evaluation_image(domain.records.load(index), True, geometry)

    batches = (
        tf.data.Dataset.range(len(domain))
        .map(decode, num_parallel_calls=pipeline.CALLS)
        .batch(_BATCH)
        .with_options(pipeline.options())
    )
    with progress(total=len(domain), desc=f"{domain.name} pixels", unit=" images", leave=False) as bar:
        for number, batch in enumerate(batches.as_numpy_iterator()):
            pixels[number * _BATCH : number * _BATCH + len(batch)] = batch
            bar.update(len(batch))
    prepare.keep_beside(path, pixels)
    return pixels
