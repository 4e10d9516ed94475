"""A domain: images that are read by index, and what is known about them.

Every way to bring images (a benchmark, two folders, two lists) ends in two `Domain`s. All that follows needs
only these, so a new way in is a function that returns them.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from gsda_tf.data.image_files import plain, plain_record

UNLABELLED = -1

Stamp = tuple[str, int, int]
"""Where an image lies, how large the file is and when it was changed: another content has another."""


class Records(Protocol):
    """Images that are read by index, encoded or decoded."""

    encoded: bool
    """True: `load` gives the bytes of a JPEG or PNG file, see `image_files.plain`; False: it gives pixels."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What a message calls image `index`: its path, or its place in a file."""

    def stamp(self, index: int) -> Stamp:
        """What tells image `index` from any other without reading it.

        Raises:
          OSError, LookupError, AttributeError: nothing does.
        """

    def load(self, index: tf.Tensor) -> tf.Tensor:
        """Reads image `index` (int64 scalar; of images in memory any shape) inside a tf.data pipeline.

        Returns:
          A string scalar if `encoded`, else uint8 [..., height, width, 3].
        """


class FileRecords:
    """Image files.

    Args:
      paths: one path an image.
    """

    encoded = True
    files = True
    """Each image's name is the path of its file."""

    def __init__(self, paths: Sequence[str]):
        # os.fsencode takes names that are no Unicode, too.
        encoded = [os.fsencode(path) for path in paths]
        self._paths = np.empty(len(encoded), object)
        self._paths[:] = encoded
        self._table = tf.constant(encoded, tf.string, shape=[len(encoded)])

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, index: int) -> str:
        return os.fsdecode(self._paths[index])

    def stamp(self, index: int) -> Stamp:
        path = os.path.abspath(self.name(index))
        found = os.stat(path)
        return path, found.st_size, found.st_mtime_ns

    def load(self, index: tf.Tensor) -> tf.Tensor:
        return plain_record(tf.io.read_file(tf.gather(self._table, index)))


class ArrayRecords:
    """Images that are already in memory.

    Args:
      images: uint8 [n, height, width, 3].
      label: what messages call the set.
    """

    encoded = False

    def __init__(self, images: np.ndarray, label: str):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"images are {images.dtype} {images.shape}, expected uint8 [n, height, width, 3]")
        self.images = images
        self._label = label
        self._table: tf.Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return f"{self._label}[{index}]"

    def load(self, index: tf.Tensor) -> tf.Tensor:
        if self._table is None:
            # Outside the pipeline's graph, which would carry a copy of all images with it.
            with tf.init_scope(), tf.device("CPU:0"):
                self._table = tf.constant(self.images)
        return tf.gather(self._table, index)


class SourceRecords:
    """Encoded images of a TFDS data source (random access by index, ArrayRecord files).

    Args:
      source: what `builder.as_data_source` returned, with the image left undecoded.
      key: the feature that holds the encoded image.
      label: what messages call the set.
      name_key: the feature that holds the name of the image's file, if there is one.
      files: that the source reads.
    """

    encoded = True

    def __init__(self, source: Any, key: str, label: str, name_key: str | None = None, files: Sequence[str] = ()):
        self._source, self._key, self._label, self._name_key = source, key, label, name_key
        self._files = files

    def __len__(self) -> int:
        return len(self._source)

    def name(self, index: int) -> str:
        if self._name_key is None:
            return f"{self._label}[{index}]"
        return f"{self._label}[{index}] ({tf.compat.as_str_any(self._source[int(index)][self._name_key])})"

    def stamp(self, index: int) -> Stamp:
        """Of the set's files, which hold its images in a fixed order."""
        size, changed = self._stamp
        return f"{self._files[0]}\0{self._label}\0{index}", size, changed

    @functools.cached_property
    def _stamp(self) -> tuple[int, int]:
        found = [os.stat(path) for path in self._files]
        return sum(each.st_size for each in found), max(each.st_mtime_ns for each in found)

    def load(self, index: tf.Tensor) -> tf.Tensor:
        def read(i: np.ndarray) -> bytes:
            return plain(self._source[int(i)][self._key])

        image = tf.numpy_function(read, [index], tf.string, stateful=False)
        return tf.ensure_shape(image, [])


class ChosenRecords:
    """Some of the images of other records.

    Args:
      records: all images.
      indices: int [n], those that are chosen.
    """

    def __init__(self, records: Records, indices: np.ndarray):
        self._records, self._indices = records, np.asarray(indices, np.int64)
        self.encoded = records.encoded
        self.files = getattr(records, "files", False)
        pixels = getattr(records, "images", None)
        if pixels is not None:
            self.images = pixels[self._indices]

    def __len__(self) -> int:
        return len(self._indices)

    def name(self, index: int) -> str:
        return self._records.name(int(self._indices[index]))

    def stamp(self, index: int) -> Stamp:
        return self._records.stamp(int(self._indices[index]))

    def load(self, index: tf.Tensor) -> tf.Tensor:
        return self._records.load(tf.gather(tf.constant(self._indices), index))


def stored(records: Records, index: int) -> bytes:
    """The bytes of an encoded image as they are stored, where it is a file of its own; else as `load` gives them.

    Raises:
      OSError: the file cannot be read.
    """
    if not getattr(records, "files", False):
        return records.load(tf.constant(index, tf.int64)).numpy()
    with open(records.name(index), "rb") as file:
        return file.read()


@dataclasses.dataclass(frozen=True)
class Domain:
    """The images of one place.

    Attributes:
      name: what tables and messages call it ("amazon").
      records: the images.
      labels: int32 [n], indices into the task's class names; -1 where unlabelled. Labels of a target domain
        are for the final score only.
    """

    name: str
    records: Records
    labels: np.ndarray

    def __post_init__(self):
        if len(self.records) != len(self.labels):
            raise ValueError(f"{self.name}: {len(self.records)} images but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> bool:
        """Whether every image has a label."""
        return len(self.labels) > 0 and bool((self.labels >= 0).all())


@dataclasses.dataclass(frozen=True)
class TaskData:
    """What is adapted to what.

    Attributes:
      name: "office31/A_W", or what the folders or lists are called; the run's default folder follows from it.
      source: labelled images.
      target: images whose labels, if there are any, only score the result.
      class_names: r names; `labels` are indices into them.
      score: the accuracy that the benchmark reports: "accuracy" or "mean_class_accuracy".
      remarks: what the user should know of how the data were read, a line each.
    """

    name: str
    source: Domain
    target: Domain
    class_names: tuple[str, ...]
    score: str = "accuracy"
    remarks: tuple[str, ...] = ()

    @property
    def target_classes(self) -> tuple[int, ...]:
        """The classes that labelled target images have; all of them if the target is unlabelled."""
        if not self.target.labelled:
            return tuple(range(len(self.class_names)))
        return tuple(int(c) for c in np.unique(self.target.labels))

    @property
    def partial(self) -> bool:
        """Whether the target is known to have only some of the source's classes."""
        return len(self.target_classes) < len(self.class_names)

    def summary(self) -> str:
        """One line for the user: how many images and classes, and what kind of adaptation that makes."""
        classes = len(self.class_names)
        if not self.target.labelled:
            kind = "target without labels, so no accuracy is claimed"
        elif self.partial:
            kind = f"partial adaptation, the target has {len(self.target_classes)} of the {classes} classes"
        else:
            kind = f"{classes} classes in both"
        if self.partial or not self.target.labelled:
            kind = f"{classes} source classes; {kind}"
        return f"{self.name}: {len(self.source):,} source and {len(self.target):,} target images, {kind}"
