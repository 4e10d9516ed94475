"""Features that the frozen part of a backbone makes of images: they stand in their place, and are kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import stat
import weakref
import zlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from gsda_tf.data.records import Memory, Records
from gsda_tf.errors import DiskError, UserError
from gsda_tf.files import disk_errors, one_at_a_time, remove_unfinished, replacing
from gsda_tf.settings import DataSettings

_NAME = re.compile(r"[0-9a-f]{32}\.npy")
_HELD = 2**30
"""Bytes; features that take more are read from the disk as they are needed, by Python, in place of TensorFlow."""
_MOST_BYTES = 2**31


class Rows:
    """Rows of several arrays, memory-mapped files mostly, that are read as one array would be.

    Args:
      parts: [m, ...], alike but for m.
      places: int64 [n, 2], of each row the part, and where it lies there.

    Attributes:
      shape: (n, ...).
      dtype: of the parts.
    """

    def __init__(self, parts: Sequence[np.ndarray], places: np.ndarray):
        self._parts, self._places = parts, places
        self.shape, self.dtype = (len(places), *parts[0].shape[1:]), parts[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        """Reads rows, [..., ...] of int64 [...]."""
        places = self._places[index]
        read = np.empty((*places.shape[:-1], *self.shape[1:]), self.dtype)
        for i in np.unique(places[..., 0]):
            here = places[..., 0] == i
            read[here] = self._parts[i][places[here][:, 1]]
        return read

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[np.arange(len(self))].astype(dtype or self.dtype)


class JoinedRows(Rows):
    """Rows of the same images by several backbones, side by side, each divided by its length.

    Args:
      parts: [n, e] each, alike but for e.
    """

    def __init__(self, parts: Sequence[Rows]):
        self._parts, self.dtype = parts, parts[0].dtype
        self.shape = (len(parts[0]), sum(part.shape[-1] for part in parts))

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        rows = [part[index] for part in self._parts]
        lengths = [np.linalg.norm(x, axis=-1, keepdims=True) for x in rows]
        return np.concatenate([x / np.maximum(d, 1e-6) for x, d in zip(rows, lengths)], axis=-1)


class FeatureRecords(Records):
    """Features, of images or of anything else.

    Args:
      features: [n, ...], an array or `Rows`.
      images: whose features they are; of features that came without images, what messages call the set.
    """

    visible = False

    def __init__(self, features: np.ndarray | Rows, images: Records | str):
        count = len(features) if isinstance(images, str) else len(images)
        if len(features.shape) < 2 or len(features) != count:
            raise ValueError(f"features are {features.dtype} {features.shape}, expected [{count}, ...]")
        super().__init__(count)
        self._memory, self._images = Memory(features), images

    def spec(self, settings: DataSettings | None = None) -> tf.TensorSpec:
        return tf.TensorSpec(self._memory.array.shape[1:], self._memory.array.dtype)

    def training(self, indices: np.ndarray, seeds: np.ndarray, settings: DataSettings) -> tf.data.Dataset:
        return self.evaluation(indices, settings)

    def evaluation(self, indices: np.ndarray, settings: DataSettings) -> tf.data.Dataset:
        rows = tf.data.Dataset.from_tensor_slices(self._places[indices])
        return rows.map(self._load, num_parallel_calls=1)

    def samples(self, indices: np.ndarray) -> np.ndarray:
        return self._memory.array[self._places[indices]]

    def name(self, index: int) -> str:
        place = self._places[index]
        return f"{self._images}[{place}]" if isinstance(self._images, str) else self._images.name(place)

    def stamp(self, index: int) -> str:
        return hashlib.blake2b(self.mark(index), digest_size=16).hexdigest()

    key = stamp

    def mark(self, index: int) -> bytes:
        return self._memory.array[self._places[[index]]].tobytes()

    def _load(self, place: tf.Tensor) -> tf.Tensor:
        array = self._memory.array
        if math.prod(array.shape) * array.dtype.itemsize <= _HELD:
            return tf.gather(self._memory.tensor, place)
        memory = weakref.ref(self._memory)  # see `records`
        read = tf.numpy_function(lambda i: memory().array[i], [place], tf.as_dtype(array.dtype), stateful=False)
        return tf.ensure_shape(read, (*place.shape, *array.shape[1:]))


class FeatureStore:
    """Features by content of the image, in files of one folder that are there whole or not at all.

    A file is an array of records: the image's digest, a sum of the features, and these as [1, ...]. Nothing but such
    files is read, and none through a link; a damaged one is passed over, and made anew.

    Args:
      folder: of one backbone with one preprocessing; made if needed.

    Raises:
      UserError: it is a symbolic link.
    """

    def __init__(self, folder: str):
        self._folder = folder
        if os.path.islink(folder):
            raise UserError(f"{folder} is a symbolic link, and features are not kept through one: remove the link.")
        with disk_errors(f"making {folder}"):
            os.makedirs(folder, exist_ok=True)
        remove_unfinished(folder)
        self._sound: dict[str, tuple[int, int]] = {}  # files that were compared with their sums, as they were then

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Lets one process at a time fill the store: the next then finds what it would have computed."""
        return one_at_a_time(self._folder, "computes the same features")

    def find(self, digests: Sequence[bytes]) -> tuple[Rows | None, np.ndarray]:
        """Finds the features of images, memory-mapped.

        Returns:
          ([n, ...], undefined where an image is missing, or None if all are; bool [n], which are missing).
        """
        places: dict[bytes, list[int]] = {}
        for i, digest in enumerate(digests):
            places.setdefault(bytes(digest), []).append(i)
        parts, found, missing = [], np.zeros((len(digests), 2), np.int64), np.ones(len(digests), bool)
        for name in sorted(filter(_NAME.fullmatch, os.listdir(self._folder))):
            held = self._read(name)
            if held is None or (parts and held["features"].shape[2:] != parts[0].shape[1:]):
                continue
            for row, digest in enumerate(held["digest"]):
                wanted = places.get(bytes(digest), [])
                found[wanted] = len(parts), row
                missing[wanted] = False
            parts.append(held["features"][:, 0])
        return (None if missing.all() else Rows(parts, found)), missing

    def add(self, digests: np.ndarray, features: np.ndarray) -> None:
        """Keeps features [n, ...] under their digests 'S32' [n].

        Raises:
          UserError: the disk is full, or the folder cannot be written.
        """
        features = features[:, None]
        dtype = [("digest", "S32"), ("sum", "<u4"), ("features", features.dtype, features.shape[1:])]
        held = np.zeros(len(features), dtype)
        held["digest"], held["features"], held["sum"] = digests, features, _sums(features)
        name = hashlib.blake2b(digests.tobytes(), digest_size=16).hexdigest()
        path = os.path.join(self._folder, f"{name}.npy")
        with replacing(path, doing=f"keeping features in {self._folder}") as file:
            # Not by np.save, whose error does not say that the disk is full.
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(held))
            file.write(held.view(np.uint8))

    def _read(self, name: str) -> np.ndarray | None:
        """Maps a file into memory; None if it is somebody else's, or damaged.

        Raises:
          DiskError: it cannot be read, which says nothing of what it holds.
        """
        path = os.path.join(self._folder, name)
        try:
            found = os.lstat(path)
            if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
                raise ValueError
            held = np.lib.format.open_memmap(path, mode="r")
            known = held.dtype.names == ("digest", "sum", "features") and held.ndim == 1
            if not known or held["features"].dtype.kind != "f":
                raise ValueError
            version = found.st_ino, found.st_mtime_ns
            if self._sound.get(name) != version and not np.array_equal(held["sum"], _sums(held["features"])):
                raise ValueError
        except FileNotFoundError:
            return None  # removed since it was listed
        except (PermissionError, ValueError):
            print(f"Features passed over that may not be read, are damaged, or none of this store: {path}", flush=True)
            return None
        except OSError as error:
            raise DiskError(
                f"{path} could not be read: {error.strerror}. Run the same command again, or choose another "
                "--feature_cache_dir."
            ) from error
        self._sound[name] = version
        return held


def _sums(features: np.ndarray) -> np.ndarray:
    """A check sum of each row, uint32 [n]."""
    return np.asarray([zlib.crc32(np.ascontiguousarray(row)) for row in features], np.uint32)
