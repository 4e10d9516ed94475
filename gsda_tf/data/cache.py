"""Decoded images that are kept, in memory or in a folder (`--cache`).

What is kept is what every crop of an image is cut from (`images.decode` for a geometry), never a crop: batches are the
same bit for bit with and without. Images are looked up by index, so the order of drawing does not matter.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import struct
import zlib

import numpy as np
import tensorflow as tf

from gsda_tf.data import images
from gsda_tf.data.domain import TaskData
from gsda_tf.data.records import Records
from gsda_tf.errors import DiskError, UserError
from gsda_tf.files import disk_errors, read_regular, remove_unfinished, replacing
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

    def get(self, place: int) -> np.ndarray | None:
        return self._pixels.get(place)

    def put(self, place: int, pixels: np.ndarray) -> None:
        if not self._full and len(self._pixels) % 64 == 0 and _memory_left() < _LEFT:
            self._full = True
            print(f"--cache=memory: memory is nearly full, no more than {len(self._pixels):,} images are kept.")
        if not self._full:
            self._pixels[place] = pixels.copy()


class FolderStore:
    """Pixels in one file an image, named by the content of the image's own file.

    Files are written aside and moved into place. One that is damaged is passed over and written anew.

    Args:
      folder: made if needed; may be shared by runs and tasks.
      records: the images, all of them.
      resize_size: on which the pixels depend.
    """

    def __init__(self, folder: str, records: Records, resize_size: int):
        self._folder = os.path.abspath(os.path.expanduser(folder))
        self._records, self._resize_size = records, resize_size
        self._paths: dict[int, str] = {}
        with disk_errors(f"making {self._folder}"):
            os.makedirs(self._folder, exist_ok=True)
            for entry in os.scandir(self._folder):
                if re.fullmatch("[0-9a-f]{2}", entry.name) and entry.is_dir(follow_symlinks=False):
                    remove_unfinished(entry.path)

    def get(self, place: int) -> np.ndarray | None:
        return read_pixels(self._path(place))

    def put(self, place: int, pixels: np.ndarray) -> None:
        path, data = self._path(place), np.ascontiguousarray(pixels)
        folder = os.path.dirname(path)
        doing = f"keeping decoded images in {self._folder} (--cache)"
        if os.path.islink(folder):
            raise DiskError(f"{folder} is a symbolic link, which --cache does not write through: remove it.")
        # Not synchronized: a check sum tells what a loss of power has left.
        with replacing(path, sync=False, doing=doing) as file:
            file.write(_HEADER.pack(_MARK, *data.shape[:2], zlib.adler32(data)))
            file.write(data)

    def _path(self, place: int) -> str:
        path = self._paths.get(place)
        if path is None:
            content = self._records.load(tf.constant(place, tf.int64)).numpy()
            key = hashlib.blake2b(content + f"{self._resize_size} {images.RULES}".encode(), digest_size=16).hexdigest()
            path = self._paths[place] = os.path.join(self._folder, key[:2], key[2:])
        return path


def read_pixels(path: str) -> np.ndarray | None:
    """Pixels that `FolderStore` wrote, uint8 [h, w, 3]; None if the file is damaged or not there."""
    try:
        data = memoryview(read_regular(path, _HEADER.size + 3 * images.MAX_PIXELS))
        mark, height, width, check = _HEADER.unpack_from(data)
    except (OSError, UserError, struct.error):
        return None
    pixels = data[_HEADER.size :]
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

    def store(records: Records) -> MemoryStore | FolderStore:
        in_memory = settings.cache == MEMORY
        return MemoryStore() if in_memory else FolderStore(settings.cache, records, settings.resize_size)

    domains = {role: dataclasses.replace(each, records=each.records.kept(store)) for role, each in data.roles}
    return dataclasses.replace(data, **domains)


def _memory_left() -> float:
    """The share of the machine's memory that is free or can be freed; 1 where that is not told."""
    with contextlib.suppress(OSError, KeyError, ValueError), open("/proc/meminfo", encoding="ascii") as file:
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in file}
        return kilobytes["MemAvailable"] / kilobytes["MemTotal"]
    return 1.0
