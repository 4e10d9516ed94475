"""Sets of small grey digits that come as arrays, made into images."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

CLASS_NAMES = tuple(str(digit) for digit in range(10))


@dataclasses.dataclass
class DigitArrays:
    """One split of a set of digits.

    Attributes:
      path: the file it comes from.
      load: () -> (uint8 [n, height, width], int [n]), not called before the arrays are needed.
    """

    path: str
    load: Callable[[], tuple[np.ndarray, np.ndarray]]

    def counts(self, classes: int) -> tuple[int, ...]:
        """Images of each class."""
        return tuple(np.bincount(self.load()[1], minlength=classes).tolist())

    def fingerprint(self) -> str:
        """SHA-256 of pixels and labels."""
        images, labels = self.load()
        return hashlib.sha256(images.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()

    def read(self) -> Iterator[tuple[int, str, bytes]]:
        """(rank, name, PNG) of every image, by class and place in the file."""
        images, labels = self.load()
        for rank, index in enumerate(np.argsort(labels, kind="stable")):
            file = io.BytesIO()
            Image.fromarray(images[index]).save(file, "PNG", compress_level=1)
            yield rank, f"{index:05d}", file.getvalue()
