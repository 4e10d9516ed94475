"""MNIST from the user's own `mnist.npz` as a TFDS data set: splits train and test."""

from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from gsda_tf.data.npz import read_npz
from gsda_tf.datasets.preparing.labelled_images import DigitBuilder
from gsda_tf.errors import DataError


class Builder(DigitBuilder):
    """MNIST in the form of keras.datasets."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Training and test set of the original."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put mnist.npz, as keras.datasets keeps it, anywhere under the manual folder."
    SIZES: ClassVar[dict[str, int]] = {"train": 60_000, "test": 10_000}
    FILES: ClassVar[dict[str, str]] = dict.fromkeys(SIZES, r"mnist\.npz")

    def load(self, path: str, split: str) -> tuple[np.ndarray, np.ndarray]:
        """See the base class."""
        keys, shape = (f"x_{split}", f"y_{split}"), (self.SIZES[split], 28, 28)
        try:
            arrays = read_npz(path, keys)
            images, labels = (arrays[key] for key in keys)
            if images.dtype != np.uint8 or images.shape != shape or labels.shape != shape[:1] or labels.max() > 9:
                raise ValueError(f"{images.dtype} {images.shape}, {labels.dtype} {labels.shape}")
        except (OSError, KeyError, ValueError) as error:
            raise DataError(
                f"{path} is not the MNIST of keras.datasets ({error}): expected {keys[0]}, uint8 {shape}, and "
                f"{keys[1]}, digits {shape[:1]}."
            ) from error
        return images, labels.astype(np.int64)
