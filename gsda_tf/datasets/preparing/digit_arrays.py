"""Sets of small grey digits that come as arrays, made into images."""

import abc
import dataclasses
import functools
import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from gsda_tf.datasets.preparing import finding
from gsda_tf.datasets.preparing.labelled_images import LabelledImageBuilder, LabelledImages


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
        """Returns the number of images of each class."""
        return tuple(np.bincount(self.load()[1], minlength=classes).tolist())

    def read(self) -> Iterator[tuple[int, str, bytes]]:
        """Yields (rank, name, PNG) of every image, by class and place in the file."""
        images, labels = self.load()
        for rank, index in enumerate(np.argsort(labels, kind="stable")):
            file = io.BytesIO()
            Image.fromarray(images[index]).save(file, "PNG", compress_level=1)
            yield rank, f"{index:05d}", file.getvalue()


class DigitBuilder(LabelledImageBuilder, skip_registration=True):
    """Builds a set of digits from files of the user.

    Attributes:
      SIZES: images by split.
      FILES: pattern of the name of the file that holds a split.
    """

    CLASS_NAMES = tuple(str(digit) for digit in range(10))
    SIZES: ClassVar[dict[str, int]] = {}
    FILES: ClassVar[dict[str, str]] = {}

    @abc.abstractmethod
    def load(self, path: str, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Reads one split: uint8 [n, height, width] and int64 [n].

        Raises:
          DataError: the file is not what it should be.
        """

    def arrays(self, path: str, split: str) -> DigitArrays:
        """Returns the split that lies in a file, which is read when it is needed, once."""
        return DigitArrays(path, functools.cache(functools.partial(self.load, path, split)))

    def find(self, manual_dir: str) -> Mapping[str, LabelledImages]:
        """Finds the splits that lie under a folder; a split that is not there is left out. Reads no image."""
        found = {s: finding.files(manual_dir, re.compile(pattern).fullmatch) for s, pattern in self.FILES.items()}
        paths = {split: next(files, None) for split, files in found.items()}
        return {split: self.arrays(path, split) for split, path in paths.items() if path is not None}

    def found(self, dl_manager: tfds.download.DownloadManager) -> dict[str, LabelledImages]:
        """Returns what lies in the manual folder, if there is one."""
        try:
            return dict(self.find(str(dl_manager.manual_dir)))
        except AssertionError:  # TFDS: there is no such folder
            return {}
