"""Decoded images that are kept, in memory or in a folder (`--cache`).

What is kept is what every crop of an image is cut from (`images.decode_for`), never a crop: batches are the same bit
for bit with and without. Images are looked up by index, so the order of drawing does not matter.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import struct
import zlib

import numpy as np
import tensorflow as tf

from gsda_tf.data import images
from gsda_tf.data.domain import Domain, Records, Stamp, TaskData
from gsda_tf.errors import DiskError
from gsda_tf.files import disk_errors, remove_unfinished, replacing
from gsda_tf.settings import DataSettings

MEMORY = "memory"
_HEADER = struct.Struct("<4sIII")  # mark, height, width, check sum of the pixels
_MARK = b"GSD1"
_LEFT = 0.1
"""This share of the machine's memory is left to others."""


class MemoryStore:
    """Pixels by index in this process, as many as leave a tenth of the machine's memory free."""

    def __init__(self):
        self._pixels: dict[int, np.ndarray] = {}
        self._full = False

    def get(self, index: int) -> np.ndarray | None:
        return self._pixels.get(index)

    def put(self, index: int, pixels: np.ndarray) -> None:
        if not self._full and len(self._pixels) % 64 == 0 and _memory_left() < _LEFT:
            self._full = True
            print(f"--cache=memory: memory is nearly full, no more than {len(self._pixels):,} images are kept.")
        if not self._full:
            self._pixels[index] = pixels.copy()


class FolderStore:
    """Pixels in one file an image, named by the content of the image's own file.

    Files are written aside and moved into place. One that is damaged is passed over and written anew.

    Args:
      folder: made if needed; may be shared by runs and tasks.
      records: the images.
      resize_size: on which the pixels depend.
    """

    def __init__(self, folder: str, records: Records, resize_size: int):
        self._folder, self._records, self._resize_size = (
            os.path.abspath(os.path.expanduser(folder)),
            records,
            resize_size,
        )
        self._paths: dict[int, str] = {}
        with disk_errors(f"making {self._folder}"):
            os.makedirs(self._folder, exist_ok=True)
            for name in os.listdir(self._folder):
                remove_unfinished(os.path.join(self._folder, name))

    def get(self, index: int) -> np.ndarray | None:
        return read_pixels(self._path(index))

    def put(self, index: int, pixels: np.ndarray) -> None:
        data = np.ascontiguousarray(pixels)
        doing = f"keeping decoded images in {self._folder} (--cache)"
        # Not synchronized: a check sum tells what a loss of power has left.
        with replacing(self._path(index), sync=False, doing=doing) as file:
            file.write(_HEADER.pack(_MARK, *data.shape[:2], zlib.adler32(data)))
            file.write(data)

    def _path(self, index: int) -> str:
        path = self._paths.get(index)
        if path is None:
            content = self._records.load(tf.constant(index, tf.int64)).numpy()
            key = hashlib.blake2b(content + f"{self._resize_size} {images.RULES}".encode(), digest_size=16).hexdigest()
            path = self._paths[index] = os.path.join(self._folder, key[:2], key[2:])
        return path


class CachedRecords:
    """Encoded images, decoded once.

    Args:
      records: encoded images.
      store: where their pixels are kept.
      geometry: that they are decoded for.

    Attributes:
      failure: why pixels could not be kept, if that stopped the pipeline.
    """

    encoded = True

    def __init__(self, records: Records, store: MemoryStore | FolderStore, geometry: images.ImageGeometry):
        self._records, self._store, self._geometry = records, store, geometry
        self.files = getattr(records, "files", False)
        self.failure: DiskError | None = None

    def __len__(self) -> int:
        return len(self._records)

    def name(self, index: int) -> str:
        return self._records.name(index)

    def stamp(self, index: int) -> Stamp:
        return self._records.stamp(index)

    def load(self, index: tf.Tensor) -> tf.Tensor:
        return self._records.load(index)

    def decoded(self, index: tf.Tensor) -> tf.Tensor:
        """Pixels of image `index` (int64 scalar) inside a tf.data pipeline, uint8 [h, w, 3]."""

        def get(i: np.ndarray) -> np.ndarray:
            pixels = self._store.get(int(i))
            return np.zeros((0, 0, 3), np.uint8) if pixels is None else pixels

        def put(i: np.ndarray, pixels: np.ndarray) -> np.ndarray:
            try:
                self._store.put(int(i), pixels)
            except DiskError as error:
                self.failure = error
                raise
            return pixels

        def decode() -> tf.Tensor:
            pixels = images.decode_for(self._records.load(index), self._geometry)
            return tf.numpy_function(put, [index, pixels], tf.uint8)

        kept = tf.numpy_function(get, [index], tf.uint8)
        pixels = tf.cond(tf.size(kept) > 0, lambda: kept, decode)
        return tf.ensure_shape(pixels, [None, None, 3])


def read_pixels(path: str) -> np.ndarray | None:
    """Pixels that `FolderStore` wrote, uint8 [h, w, 3]; None if the file is damaged or not there."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    if len(data) < _HEADER.size:
        return None
    mark, height, width, check = _HEADER.unpack_from(data)
    pixels = memoryview(data)[_HEADER.size :]
    if mark != _MARK or len(pixels) != height * width * 3 or zlib.adler32(pixels) != check:
        return None
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def cached(data: TaskData, settings: DataSettings) -> TaskData:
    """The task whose encoded images are decoded once, if the settings say so.

    Raises:
      DiskError: the folder cannot be made.
    """
    if not settings.cache:
        return data
    geometry = images.ImageGeometry(settings.image_size, settings.resize_size)

    def wrapped(domain: Domain) -> Domain:
        if not domain.records.encoded:
            return domain
        if settings.cache == MEMORY:
            store = MemoryStore()
        else:
            store = FolderStore(settings.cache, domain.records, settings.resize_size)
        return dataclasses.replace(domain, records=CachedRecords(domain.records, store, geometry))

    return dataclasses.replace(data, source=wrapped(data.source), target=wrapped(data.target))


def _memory_left() -> float:
    """The share of the machine's memory that is free or can be freed; 1 where that is not told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in file}
        return kilobytes["MemAvailable"] / kilobytes["MemTotal"]
    except (OSError, KeyError, ValueError, IndexError):
        return 1.0
