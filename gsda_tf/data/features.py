"""What the frozen part of a backbone makes of images: it stands in their place, and is kept on disk."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import math
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import IO

import numpy as np
import tensorflow as tf

from gsda_tf.data import pipeline
from gsda_tf.data.check_cache import Found
from gsda_tf.data.domain import Domain, Records
from gsda_tf.data.sampling import hash_key
from gsda_tf.errors import DiskError
from gsda_tf.files import disk_errors, one_at_a_time, remove_unfinished, replacing, write_atomically

_VIEW = 3
_SOUND = "sound.json"
"""Files whose content was compared with its sum, and when they had been changed."""
_SETTLED = 2.0
"""Seconds; times of change of some file systems count in ones and twos."""
_HELD = 2**30
"""Bytes; features that take more are read from the disk as they are needed, by Python, in place of TensorFlow."""
_LARGE = 2**24
"""Bytes; a larger file of features is read through once, and then again only if it has changed."""


class Rows:
    """Rows of several arrays, memory-mapped files mostly, that are read as one array would be.

    Args:
      parts: [m, v, ...], alike but for m.
      places: int64 [n, 2], of each row the part, and where it lies there.

    Attributes:
      shape: (n, v, ...).
      dtype: of the parts.
    """

    def __init__(self, parts: Sequence[np.ndarray], places: np.ndarray):
        self._parts, self._places = parts, places
        self.shape, self.dtype = (len(places), *parts[0].shape[1:]), parts[0].dtype

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, chosen) -> Rows | np.ndarray:
        """rows[i] are `Rows`; rows[i, v], i int64 [...] and v an integer or as many, is read: [..., ...]."""
        if not isinstance(chosen, tuple):
            return Rows(self._parts, self._places[chosen])
        index, view = np.broadcast_arrays(*chosen)
        read = np.empty((*index.shape, *self.shape[2:]), self.dtype)
        part, row = np.moveaxis(self._places[index], -1, 0)
        for i in np.unique(part):
            here = part == i
            read[here] = self._parts[i][row[here], view[here]]
        return read

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[np.arange(len(self))[:, None], np.arange(self.shape[1])].astype(dtype or self.dtype)


class FeatureRecords:
    """Features of a domain's images, read by index as images are.

    Args:
      features: [n, v, ...], an array or `Rows`. View 0 is what evaluation sees, the others are random crops.
      images: whose features they are; of features that came without images, what messages call the set.
    """

    encoded = False

    def __init__(self, features: np.ndarray | Rows, images: Records | str):
        count = len(features) if isinstance(images, str) else len(images)
        if len(features.shape) < 3 or len(features) != count:
            raise ValueError(f"features are {features.dtype} {features.shape}, expected [{count}, views, ...]")
        self.features, self._images = features, images

    def __len__(self) -> int:
        return len(self.features)

    def name(self, index: int) -> str:
        images = self._images
        return f"{images}[{index}]" if isinstance(images, str) else images.name(index)

    def load(self, index: tf.Tensor) -> tf.Tensor:
        """Features of the evaluation view, [...]."""
        return self._read(index, tf.zeros_like(index), ())

    def training(self, indices: np.ndarray, seeds: np.ndarray) -> tf.data.Dataset:
        """One element a row: [row, ...].

        Args:
          indices: int64 [rows, row].
          seeds: int64 [rows, row, 2], from which the view follows. Without random crops it is that of evaluation.
        """
        crops = self.features.shape[1] - 1
        views = 0
        if crops:
            views = 1 + (hash_key(_VIEW, seeds[..., 0], seeds[..., 1]) % np.uint64(crops)).astype(np.int64)
        return self._gather(indices, views)

    def evaluation(self, indices: np.ndarray) -> tf.data.Dataset:
        """One element a row of `indices`, int64 [rows, row]: [row, ...]."""
        return self._gather(indices, 0)

    def _gather(self, indices: np.ndarray, views: np.ndarray | int) -> tf.data.Dataset:
        rows = (indices, np.broadcast_to(np.asarray(views, np.int64), indices.shape))
        count = indices.shape[1:]
        return tf.data.Dataset.from_tensor_slices(rows).map(
            lambda index, view: self._read(index, view, count), num_parallel_calls=1
        )

    @functools.cached_property
    def _held(self) -> tf.Tensor | None:
        """All of them, if they are few enough."""
        features = self.features
        if math.prod(features.shape) * features.dtype.itemsize > _HELD:
            return None
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(np.asarray(features))

    def _read(self, index: tf.Tensor, view: tf.Tensor, count: tuple[int, ...]) -> tf.Tensor:
        if self._held is not None:
            return tf.gather_nd(self._held, tf.stack([index, view], -1))
        dtype = tf.as_dtype(self.features.dtype)
        read = tf.numpy_function(lambda i, v: self.features[i, v], [index, view], dtype, stateful=False)
        return tf.ensure_shape(read, (*count, *self.features.shape[2:]))


def content_digests(domain: Domain, folder: str = "") -> np.ndarray:
    """A digest of each image file's bytes, or of its pixels; 'S32' [n].

    The same image has the same digest in whatever folder, list or benchmark it lies.

    Args:
      domain: of images.
      folder: keeps the digests, so that files that have not changed are not read again; "": none does.
    """
    found = Found(folder, domain, "content", _SETTLED) if folder else None
    stamps, known = (found.stamps, found.known) if found else ([None] * len(domain), {})
    digests = np.asarray([known.get(stamp, "") for stamp in stamps], "S32")
    unread = np.flatnonzero(digests == b"")
    loaded = (
        tf.data.Dataset.from_tensor_slices(unread)
        .map(domain.records.load, num_parallel_calls=pipeline.CALLS)
        .prefetch(16)
        .with_options(pipeline.options())
    )
    for i, record in zip(unread, loaded.as_numpy_iterator()):
        data = record if isinstance(record, bytes) else str(record.shape).encode() + record.tobytes()
        digests[i] = hashlib.blake2b(data, digest_size=16).hexdigest()
    if found:
        found.now = {stamp: digest.decode() for stamp, digest in zip(stamps, digests.tolist()) if stamp}
        found.keep()
    return digests


class FeatureStore:
    """Features by content of the image, in files of one folder that are there whole or not at all.

    Args:
      folder: of one backbone with one preprocessing; made if needed.
    """

    def __init__(self, folder: str):
        self._folder = folder
        with disk_errors(f"making {folder}"):
            os.makedirs(folder, exist_ok=True)
        remove_unfinished(folder)
        self._sound: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError, TypeError), open(os.path.join(folder, _SOUND)) as file:
            self._sound = dict(json.load(file))

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Lets one process at a time fill the store: the next then finds what it would have computed."""
        return one_at_a_time(self._folder, "computes the same features")

    def find(self, digests: Sequence[bytes]) -> tuple[Rows | None, np.ndarray]:
        """What the store has of the images, memory-mapped.

        Returns:
          ([n, v, ...], undefined where an image is missing, or None if all are; bool [n], which are missing).
        """
        places: dict[bytes, list[int]] = {}
        for i, digest in enumerate(digests):
            places.setdefault(bytes(digest), []).append(i)
        sound, self._sound = self._sound, {}
        parts, found, missing = [], np.zeros((len(digests), 2), np.int64), np.ones(len(digests), bool)
        for path in self._files():
            read = self._read(path, sound)
            if read is None:
                continue
            stored, features = read
            for row, digest in enumerate(stored):
                wanted = places.get(bytes(digest), [])
                found[wanted] = len(parts), row
                missing[wanted] = False
            parts.append(features)
        if self._sound != sound:
            with contextlib.suppress(DiskError):  # costs time only
                write_atomically(os.path.join(self._folder, _SOUND), json.dumps(self._sound))
        return (None if missing.all() else Rows(parts, found)), missing

    def add(self, digests: np.ndarray, features: np.ndarray) -> None:
        """Keeps features [n, v, ...] under their digests 'S32' [n].

        Raises:
          UserError: the disk is full, or the folder cannot be written.
        """
        name = hashlib.blake2b(digests.tobytes(), digest_size=16).hexdigest()
        path = os.path.join(self._folder, f"{name}.npz")
        with replacing(path, doing=f"keeping features in {self._folder}") as file:
            np.savez(file, digests=digests, features=features)

    def _files(self) -> list[str]:
        return sorted(os.path.join(self._folder, name) for name in os.listdir(self._folder) if name.endswith(".npz"))

    def _read(self, path: str, sound: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray] | None:
        """Digests and features of a file; None if it is damaged, then it is removed, or somebody else's secret.

        Raises:
          DiskError: it cannot be read, which says nothing of what it holds.
        """
        try:
            with open(path, "rb") as file:
                read = os.fstat(file.fileno())
                with np.load(file, allow_pickle=False) as arrays:
                    digests = arrays["digests"]
                with zipfile.ZipFile(file) as archive, archive.open("features.npy") as member:
                    features = _mapped(file, archive.getinfo("features.npy"), member)
                    name, changed = os.path.basename(path), read.st_mtime_ns
                    while sound.get(name) != changed and member.read(2**20):
                        pass  # to its end, where the sum of the content is compared
                    if read.st_size > _LARGE and changed < time.time_ns() - _SETTLED * 1e9:
                        self._sound[name] = changed
                if digests.dtype.kind != "S" or features.dtype.kind != "f" or features.shape[:1] != digests.shape:
                    raise ValueError("other arrays than were written")
                return digests, features
        except FileNotFoundError:
            return None  # removed since it was listed
        except PermissionError:
            print(f"Features passed over that may not be read: {path}", flush=True)
            return None
        except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise DiskError(
                    f"{path} could not be read: {error.strerror}. Nothing was removed. Run the same command again, or "
                    "choose another --feature_cache_dir."
                ) from error
            print(f"Damaged features passed over and removed, they are computed again: {path}", flush=True)
            with contextlib.suppress(OSError):
                if os.path.samestat(read, os.stat(path)):  # not what somebody has put there since
                    os.remove(path)
            return None


def _mapped(file: IO[bytes], info: zipfile.ZipInfo, member: IO[bytes]) -> np.ndarray:
    """An array of an uncompressed .npz file as it lies on the disk; `member` is open at its beginning."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("compressed")
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    file.seek(info.header_offset)
    name, extra = struct.unpack("<26xHH", file.read(30))  # the local header, which zipfile skips
    offset = info.header_offset + 30 + name + extra + member.tell()
    return np.memmap(file, dtype, "r", offset, shape, "F" if fortran else "C")
