"""Bases of the builders of this package: encoded images in the order of class and name, and where they came from.

What is found of a split tells `path`, where it lies; `counts`, the images of each class; and, by `read`, (rank, name,
encoded image) of each, rank being its place in the order of the classes.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from gsda_tf.datasets.preparing import finding
from gsda_tf.datasets.preparing.finding import FoundDomain, ImageSet
from gsda_tf.errors import DataError
from gsda_tf.progress import progress


class LocalInfo(tfds.core.DatasetInfo):
    """Information on a data set that no bucket has: asking for it would only cost a machine without network time."""

    def initialize_from_bucket(self) -> None:
        """Does nothing."""


class LabelledImageBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Stores images as they are encoded, all of class 0 first, so that labels follow from the class counts.

    The metadata of a prepared set hold, by split, `class_counts` and `prepared_from`.
    """

    CLASS_NAMES: tuple[str, ...] = ()

    @abc.abstractmethod
    def require(self, dl_manager: tfds.download.DownloadManager) -> Mapping[str, FoundDomain | DigitArrays]:
        """Every split, complete.

        Raises:
          DataError: something is missing.
        """

    def _info(self) -> tfds.core.DatasetInfo:
        metadata = self.get_metadata()
        return LocalInfo(
            builder=self,
            description=metadata.description,
            citation=metadata.citation,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=list(self.CLASS_NAMES)),
                    "filename": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        found = self.require(dl_manager)
        self.info.metadata.update(
            class_counts={split: list(images.counts(len(self.CLASS_NAMES))) for split, images in found.items()},
            prepared_from={split: images.path for split, images in found.items()},
        )
        return {split: self._generate_examples(split, images) for split, images in found.items()}

    def _generate_examples(self, split: str, images: FoundDomain | DigitArrays) -> Iterator[tuple[int, dict[str, Any]]]:
        counts = images.counts(len(self.CLASS_NAMES))
        labels = [label for label, count in enumerate(counts) for _ in range(count)]
        bar = progress(images.read(), desc=f"{self.name} {split}", total=len(labels), unit=" images", leave=False)
        for rank, name, data in bar:
            # TFDS sorts by key, in files that each take an equal share of all 128-bit keys: ranks are spread
            # over them, or a large set would end in one file that is sorted in memory.
            key = rank * (2**128 // len(labels))
            yield key, {"image": io.BytesIO(data), "label": labels[rank], "filename": name}


class FolderBuilder(LabelledImageBuilder, skip_registration=True):
    """Builds an `ImageSet` from the archive or folders that the user has under the manual folder."""

    VERSION = tfds.core.Version("1.0.0")
    IMAGE_SET: ImageSet

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        cls.CLASS_NAMES, cls.MANUAL_DOWNLOAD_INSTRUCTIONS = cls.IMAGE_SET.class_names, cls.IMAGE_SET.instructions

    def require(self, dl_manager: tfds.download.DownloadManager) -> Mapping[str, FoundDomain | DigitArrays]:
        """See the base class."""
        try:
            manual_dir = str(dl_manager.manual_dir)
        except AssertionError as error:
            where = str(error).partition(" Create it")[0]
            raise DataError(
                f"{self.IMAGE_SET.title} is not prepared yet. {where} {self.IMAGE_SET.instructions}"
            ) from error
        return finding.require(manual_dir, self.IMAGE_SET)


@dataclasses.dataclass
class DigitArrays:
    """One split of a set of digits.

    Attributes:
      path: the file it comes from.
      images: uint8 [n, height, width].
      labels: int [n].
    """

    path: str
    images: np.ndarray
    labels: np.ndarray

    def counts(self, classes: int) -> tuple[int, ...]:
        """Returns the number of images of each class."""
        return tuple(np.bincount(self.labels, minlength=classes).tolist())

    def read(self) -> Iterator[tuple[int, str, bytes]]:
        """Yields (rank, name, PNG) of every image, by class and place in the file."""
        for rank, index in enumerate(np.argsort(self.labels, kind="stable")):
            file = io.BytesIO()
            Image.fromarray(self.images[index]).save(file, "PNG", compress_level=1)
            yield rank, f"{index:05d}", file.getvalue()


class DigitBuilder(LabelledImageBuilder, skip_registration=True):
    """Builds a set of digits from files of the user.

    Attributes:
      SIZES: images by split.
      FILES: pattern of the name of the file that holds a split.
      URLS: where it is downloaded from; {}: nowhere.
    """

    CLASS_NAMES = tuple(str(digit) for digit in range(10))
    SIZES: ClassVar[dict[str, int]] = {}
    FILES: ClassVar[dict[str, str]] = {}
    URLS: ClassVar[dict[str, str]] = {}

    @abc.abstractmethod
    def load(self, path: str, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Reads one split: uint8 [n, height, width] and int64 [n].

        Raises:
          DataError: the file is not what it should be.
        """

    def find(self, manual_dir: str) -> dict[str, str]:
        """Paths of the files of splits that lie under a folder; a split that is not there is left out."""
        found = {s: finding.files(manual_dir, re.compile(pattern).fullmatch) for s, pattern in self.FILES.items()}
        paths = {split: next(files, None) for split, files in found.items()}
        return {split: path for split, path in paths.items() if path is not None}

    def require(self, dl_manager: tfds.download.DownloadManager) -> Mapping[str, FoundDomain | DigitArrays]:
        """See the base class; what is not in the manual folder is downloaded, if that can be."""
        paths: dict[str, str] = {}
        with contextlib.suppress(AssertionError):  # TFDS: there is no such folder
            paths = self.find(str(dl_manager.manual_dir))
        missing = {split: self.URLS.get(split) for split in self.SIZES if split not in paths}
        if missing and not self.URLS:
            raise DataError(f"{self.name} is not prepared yet. {self.MANUAL_DOWNLOAD_INSTRUCTIONS}")
        paths |= {split: str(path) for split, path in dl_manager.download(missing).items()} if missing else {}
        return {split: DigitArrays(paths[split], *self.load(paths[split], split)) for split in self.SIZES}
