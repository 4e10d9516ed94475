"""Records: images, or what stands in their place, read by index.

TensorFlow keeps every Python function that a pipeline calls until the process ends: such functions hold what they read
from weakly, so that the records of a run that is over are let go of, with their memory and open files. Whoever reads a
pipeline holds its domain.

Every kind answers the same questions, so nobody asks which kind it has. To add one: a subclass of `Records`, or of
`ImageRecords` or `EncodedRecords`, which know all about images but where they lie.
"""

from __future__ import annotations

import abc
import copy
import functools
import hashlib
import os
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gsda_tf.data import images, pipeline
from gsda_tf.data.image_files import BadImageError, check_file, plain, plain_record
from gsda_tf.settings import DataSettings

SETTLED = 2.0
"""Seconds; times of change of some file systems count in ones and twos."""

_END = 1024
"""Bytes of a file that a run remembers."""

Check = Callable[[int], "str | None"]
"""index -> what is wrong with that image, or None."""


class Records(abc.ABC):
    """The n images of a domain, or what stands in their place.

    Args:
      size: n.

    Attributes:
      visible: images, which people can look at; False: features.
    """

    visible = True

    def __init__(self, size: int):
        self._places, self._whole = np.arange(size), True

    def __len__(self) -> int:
        return len(self._places)

    def chosen(self, indices: np.ndarray) -> Records:
        """Some of them, in that order.

        Args:
          indices: int [m].
        """
        some = copy.copy(self)
        some._places, some._whole = self._places[np.asarray(indices, np.int64)], False
        return some

    def load(self, index: tf.Tensor) -> tf.Tensor:
        """Reads number `index` (int64 scalar; of what is in memory any shape) inside a tf.data pipeline.

        Returns:
          A string scalar, the bytes of a JPEG or PNG file; or uint8 [..., height, width, 3]; or features [..., e].
        """
        return self._load(index if self._whole else tf.gather(tf.constant(self._places), index))

    @abc.abstractmethod
    def name(self, index: int) -> str:
        """Returns what a message calls number `index`: its path, or its place in a file."""

    @abc.abstractmethod
    def stamp(self, index: int) -> str | None:
        """Returns what tells the content of number `index` from any other without reading it; None: nothing does."""

    def key(self, index: int) -> object:
        """Returns what equal contents have in common, such as the size of their files; None where nothing is known."""
        return None

    def mark(self, index: int) -> bytes:
        """Returns what a run remembers of number `index`, so that it is known again wherever it is moved."""
        return b""

    def stored(self, index: int) -> bytes | None:
        """The bytes of an image as they are stored; None if it is not encoded.

        Raises:
          OSError: its file cannot be read.
        """
        return None

    def check(self, decode: bool) -> Check | None:
        """Returns a function that finds images that cannot be read; None where there can be none.

        Args:
          decode: each image is decoded, which finds all; else a look at its head and end.
        """
        return None

    @abc.abstractmethod
    def spec(self, settings: DataSettings) -> tf.TensorSpec:
        """Returns the shape and type of one of them as the network sees it."""

    @abc.abstractmethod
    def training(self, indices: np.ndarray, seeds: np.ndarray, settings: DataSettings) -> tf.data.Dataset:
        """Returns them as training sees them, with random changes: one element a row, [row, *spec].

        Args:
          indices: int64 [rows, row].
          seeds: int64 [rows, row, 2], from which all that is random follows.
          settings: geometry and augmentation.
        """

    @abc.abstractmethod
    def evaluation(self, indices: np.ndarray, settings: DataSettings) -> tf.data.Dataset:
        """Returns them as evaluation sees them: one element a row of `indices`, int64 [rows, row]: [row, *spec]."""

    @abc.abstractmethod
    def samples(self, indices: np.ndarray) -> list[bytes] | np.ndarray:
        """Returns what an exported model is asked about: the bytes of image files, or features float32 [m, e]."""

    @abc.abstractmethod
    def _load(self, place: tf.Tensor) -> tf.Tensor:
        """`load`, of places among all that these were chosen from."""


class ImageRecords(Records):
    """Images, wherever they lie."""

    def spec(self, settings: DataSettings) -> tf.TensorSpec:
        return tf.TensorSpec([settings.image_size, settings.image_size, 3], tf.uint8)

    def training(self, indices: np.ndarray, seeds: np.ndarray, settings: DataSettings) -> tf.data.Dataset:
        return self._seen(indices, seeds, settings, settings.augmentation)

    def evaluation(self, indices: np.ndarray, settings: DataSettings) -> tf.data.Dataset:
        return self._seen(indices, np.zeros((*indices.shape, 2), np.int64), settings, None)

    def _seen(
        self, indices: np.ndarray, seeds: np.ndarray, settings: DataSettings, augmentation: str | None
    ) -> tf.data.Dataset:
        """uint8 [row, S, S, 3] a row; without an augmentation as evaluation sees them."""
        geometry = images.ImageGeometry(settings.image_size, settings.resize_size)

        @tf.autograph.experimental.do_not_convert  # it costs seconds each time, and there is nothing to convert
        def see(index: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            return self._see(index, seed, geometry, augmentation)

        plan = tf.data.Dataset.from_tensor_slices((indices, seeds)).unbatch()
        seen = plan.map(see, num_parallel_calls=pipeline.CALLS, deterministic=True)
        return seen.batch(indices.shape[1], drop_remainder=True)

    @abc.abstractmethod
    def _see(
        self, index: tf.Tensor, seed: tf.Tensor, geometry: images.ImageGeometry, augmentation: str | None
    ) -> tf.Tensor:
        """One image, uint8 [S, S, 3]."""


class Memory:
    """An array that TensorFlow gathers from; the tensor is made when it is first asked for.

    Args:
      array: [n, ...].
    """

    def __init__(self, array: np.ndarray):
        self.array = array

    @functools.cached_property
    def tensor(self) -> tf.Tensor:
        """Makes the tensor outside of any pipeline's graph, which would otherwise hold a copy of the array."""
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(np.asarray(self.array))


class ArrayRecords(ImageRecords):
    """Images that are already in memory.

    Args:
      images: uint8 [n, height, width, 3].
      label: what messages call the set.
    """

    def __init__(self, images: np.ndarray, label: str):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"images are {images.dtype} {images.shape}, expected uint8 [n, height, width, 3]")
        super().__init__(len(images))
        self._memory, self._label = Memory(images), label

    def samples(self, indices: np.ndarray) -> list[bytes]:
        return [tf.io.encode_png(self._memory.array[i]).numpy() for i in self._places[indices]]

    def name(self, index: int) -> str:
        return f"{self._label}[{self._places[index]}]"

    def stamp(self, index: int) -> str:
        image = np.ascontiguousarray(self._memory.array[self._places[index]])
        return f"{image.shape} {hashlib.blake2b(image, digest_size=16).hexdigest()}"

    key = stamp

    def mark(self, index: int) -> bytes:
        return self._memory.array[self._places[index]].tobytes()

    def _load(self, place: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._memory.tensor, place)

    def _see(self, index, seed, geometry, augmentation):
        return images.seen(self.load(index), geometry, augmentation, seed)

    def _seen(self, indices, seeds, settings, augmentation):
        if augmentation not in (None, "none"):
            return super()._seen(indices, seeds, settings, augmentation)
        # Nothing to decode, nothing random: a whole batch at once costs less than its images one by one.
        geometry = images.ImageGeometry(settings.image_size, settings.resize_size)

        @tf.autograph.experimental.do_not_convert
        def gather(indices: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
            return images.evaluation_pixels(self.load(indices), geometry)

        return tf.data.Dataset.from_tensor_slices((indices, seeds)).map(gather, num_parallel_calls=1)


class EncodedRecords(ImageRecords):
    """Images that are JPEG or PNG files when they are loaded, see `image_files.plain`."""

    def samples(self, indices: np.ndarray) -> list[bytes]:
        return [self.load(tf.constant(i, tf.int64)).numpy() for i in indices]

    def check(self, decode: bool) -> Check | None:
        return self._decoded if decode else None

    def _decoded(self, index: int) -> str | None:
        """Decodes image `index`; returns what is wrong with it, or None."""
        try:
            images.decode(self.load(tf.constant(index, tf.int64)))
        except BadImageError as error:
            return str(error)
        except tf.errors.OpError as error:
            return f"cannot be decoded: {str(error.message).splitlines()[0].split('} ')[-1].split(' [Op:')[0]}"
        return None

    def _see(self, index, seed, geometry, augmentation):
        return images.decoding(geometry, augmentation)(self.load(index), seed)


class FileRecords(EncodedRecords):
    """Image files.

    Args:
      paths: one path an image.
    """

    def __init__(self, paths: Sequence[str]):
        super().__init__(len(paths))
        self._paths = list(map(os.fsencode, paths))  # takes names that are no Unicode, too
        self._table = tf.constant(self._paths, tf.string, shape=[len(paths)])

    def stored(self, index: int) -> bytes:
        with open(self.name(index), "rb") as file:
            return file.read()

    def check(self, decode: bool) -> Check:
        return lambda index: check_file(self.name(index)) or (self._decoded(index) if decode else None)

    def name(self, index: int) -> str:
        return os.fsdecode(self._paths[self._places[index]])

    def stamp(self, index: int) -> str | None:
        return stamp_of_file(os.path.abspath(self.name(index)))

    def key(self, index: int) -> int | None:
        try:
            return os.path.getsize(self.name(index))
        except OSError:  # told elsewhere
            return None

    def mark(self, index: int) -> bytes:
        path = self.name(index)
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END))  # images of one size may take as many bytes
            return os.fsencode(f"{os.path.basename(path)}\0{size}\0") + file.read()

    def _load(self, place: tf.Tensor) -> tf.Tensor:
        return plain_record(tf.io.read_file(tf.gather(self._table, place)))


class _Reader:
    """Holds what `builder.as_data_source` returned; with this object its files are closed."""

    def __init__(self, source: Any):
        self.source = source


class SourceRecords(EncodedRecords):
    """Encoded images of a TFDS data source (random access by index, ArrayRecord files).

    Args:
      source: what `builder.as_data_source` returned, with the image left undecoded.
      key: the feature that holds the encoded image.
      label: what messages call the set.
      name_key: the feature that holds the name of the image's file, if there is one.
      files: that the source reads.
    """

    def __init__(self, source: Any, key: str, label: str, name_key: str | None = None, files: Sequence[str] = ()):
        super().__init__(len(source))
        self._reader, self._image, self._label, self._name_key = _Reader(source), key, label, name_key
        self._files = files

    def name(self, index: int) -> str:
        place = int(self._places[index])
        if self._name_key is None:
            return f"{self._label}[{place}]"
        return f"{self._label}[{place}] ({tf.compat.as_str_any(self._reader.source[place][self._name_key])})"

    def stored(self, index: int) -> bytes:
        return plain(self._reader.source[int(self._places[index])][self._image])

    def stamp(self, index: int) -> str | None:
        """See the base class; it is that of the set's files, which hold its images in a fixed order."""
        return None if self._of_files is None else f"{self._label}\0{self._places[index]}\0{self._of_files}"

    @functools.cached_property
    def _of_files(self) -> str | None:
        stamps = [stamp_of_file(path) for path in self._files]
        return "\0".join(stamps) if stamps and None not in stamps else None

    def _load(self, place: tf.Tensor) -> tf.Tensor:
        reader, key = weakref.ref(self._reader), self._image

        def read(i: np.ndarray) -> bytes:
            return plain(reader().source[int(i)][key])

        image = tf.numpy_function(read, [place], tf.string, stateful=False)
        return tf.ensure_shape(image, [])


def stamp_of_file(path: str) -> str | None:
    """Returns what tells the content of a file from any other without reading it.

    Programs set sizes and times of change as they like, archives and cameras all alike. The number of the file and the
    time of its last change of any kind are the file system's own.

    Returns:
      None if it is not there, or has changed just now: another content might bear the same time.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    if found.st_ctime_ns > time.time_ns() - SETTLED * 1e9:
        return None
    return "\0".join(map(str, (path, found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)))
