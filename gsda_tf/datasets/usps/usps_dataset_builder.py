"""USPS from its text form as a TFDS data set: splits train and test."""

import gzip
import zlib
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from gsda_tf.datasets.preparing.labelled_images import DigitBuilder
from gsda_tf.errors import DataError
from gsda_tf.files import open_regular

_URL = "https://hastie.su.domains/ElemStatLearn/datasets/"
_PIXELS = 16 * 16
_MAX_BYTES = 64 * 2**20  # unpacked, four times the larger file


class Builder(DigitBuilder):
    """USPS digits."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Training and test set of the text form."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Get zip.train.gz and zip.test.gz (usually found at {_URL}; also called usps_zip.train.gz) and put them "
        "anywhere under the manual folder."
    )
    SIZES: ClassVar[dict[str, int]] = {"train": 7291, "test": 2007}
    FILES: ClassVar[dict[str, str]] = {split: rf".*zip\.{split}\.gz" for split in SIZES}
    URLS: ClassVar[dict[str, str]] = {split: f"{_URL}zip.{split}.gz" for split in SIZES}

    def load(self, path: str, split: str) -> tuple[np.ndarray, np.ndarray]:
        """See the base class."""
        return read_text(path, self.SIZES[split])


def read_text(path: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads a label and 256 numbers from -1 (white) to 1 (ink) a line.

    Args:
      path: of the gzip file.
      size: lines it must have.

    Returns:
      uint8 [size, 16, 16], ink 255; int64 [size].

    Raises:
      DataError: another number of lines, or not of that form.
    """
    try:
        with open_regular(path, _MAX_BYTES) as packed, gzip.open(packed) as file:
            table = np.array(file.read(_MAX_BYTES).split(), np.float64).reshape(size, 1 + _PIXELS)
        labels, values = table[:, 0], table[:, 1:]
        if not (np.isin(labels, np.arange(10)).all() and (np.abs(values) <= 1).all()):
            raise ValueError("out of range")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(
            f"{path} is not USPS in its text form ({error}): expected {size:,} lines of a digit and {_PIXELS} values "
            "from -1 to 1; get it anew."
        ) from error
    return np.rint((values + 1) * 127.5).astype(np.uint8).reshape(size, 16, 16), labels.astype(np.int64)
