"""Features of a frozen backbone: what stands in place of images, and where they are kept on disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from gsda_tf.data.domain import Domain, Records
from gsda_tf.data.sampling import hash_key
from gsda_tf.errors import DiskError
from gsda_tf.files import disk_errors, one_at_a_time, remove_unfinished, replacing

_VIEW = 3


class FeatureRecords:
    """Features of a domain's images, read by index as images are.

    Args:
      features: float32 [n, v, e]. View 0 is what evaluation sees, the others are random crops.
      images: whose features they are; of features that came without images, what messages call the set.
    """

    encoded = False

    def __init__(self, features: np.ndarray, images: Records | str):
        count = len(features) if isinstance(images, str) else len(images)
        if features.dtype != np.float32 or features.ndim != 3 or len(features) != count:
            raise ValueError(
                f"features are {features.dtype} {features.shape}, expected float32 [{count}, views, units]"
            )
        self.features, self._images = features, images
        self._table: tf.Tensor | None = None

    def __len__(self) -> int:
        return len(self.features)

    def name(self, index: int) -> str:
        images = self._images
        return f"{images}[{index}]" if isinstance(images, str) else images.name(index)

    def load(self, index: tf.Tensor) -> tf.Tensor:
        """Features of the evaluation view, float32 [e]."""
        return tf.gather(self._rows(), index * self.features.shape[1])

    def training(self, indices: np.ndarray, seeds: np.ndarray) -> tf.data.Dataset:
        """One element a row: float32 [row, e].

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
        """One element a row of `indices`, int64 [rows, row]: float32 [row, e]."""
        return self._gather(indices, 0)

    def _gather(self, indices: np.ndarray, views: np.ndarray | int) -> tf.data.Dataset:
        table = self._rows()
        rows = indices * self.features.shape[1] + views
        return tf.data.Dataset.from_tensor_slices(rows).map(lambda row: tf.gather(table, row), num_parallel_calls=1)

    def _rows(self) -> tf.Tensor:
        if self._table is None:
            with tf.init_scope(), tf.device("CPU:0"):
                self._table = tf.constant(self.features.reshape(-1, self.features.shape[-1]))
        return self._table


def content_digests(domain: Domain) -> np.ndarray:
    """A digest of each image file's bytes, or of its pixels; 'S32' [n].

    The same image has the same digest in whatever folder, list or benchmark it lies.
    """
    loaded = (
        tf.data.Dataset.range(len(domain))
        .map(domain.records.load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(16)
    )
    digests = np.empty(len(domain), "S32")
    for i, record in enumerate(loaded.as_numpy_iterator()):
        data = record if isinstance(record, bytes) else str(record.shape).encode() + record.tobytes()
        digests[i] = hashlib.blake2b(data, digest_size=16).hexdigest()
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

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Lets one process at a time fill the store: the next then finds what it would have computed."""
        return one_at_a_time(self._folder, "computes the same features")

    def find(self, digests: Sequence[bytes]) -> tuple[np.ndarray | None, np.ndarray]:
        """What the store has of the images.

        Returns:
          (float32 [n, v, e], rows that are missing undefined, or None if all are; bool [n], which are missing).
        """
        places: dict[bytes, list[int]] = {}
        for i, digest in enumerate(digests):
            places.setdefault(bytes(digest), []).append(i)
        found, missing = None, np.ones(len(digests), bool)
        for path in self._files():
            read = self._read(path)
            if read is None:
                continue
            stored, features = read
            rows = [(row, places[bytes(d)]) for row, d in enumerate(stored) if bytes(d) in places]
            if rows and found is None:
                found = np.empty((len(digests), *features.shape[1:]), np.float32)
            for row, wanted in rows:
                found[wanted] = features[row]
                missing[wanted] = False
        return found, missing

    def add(self, digests: np.ndarray, features: np.ndarray) -> None:
        """Keeps features float32 [n, v, e] under their digests 'S32' [n].

        Raises:
          UserError: the disk is full, or the folder cannot be written.
        """
        name = hashlib.blake2b(digests.tobytes(), digest_size=16).hexdigest()
        path = os.path.join(self._folder, f"{name}.npz")
        with replacing(path, doing=f"keeping features in {self._folder}") as file:
            np.savez(file, digests=digests, features=features)

    def _files(self) -> list[str]:
        return sorted(os.path.join(self._folder, name) for name in os.listdir(self._folder) if name.endswith(".npz"))

    @staticmethod
    def _read(path: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Digests and features of a file; None if it is damaged, then it is removed, or somebody else's secret.

        Raises:
          DiskError: it cannot be read, which says nothing of what it holds.
        """
        try:
            with open(path, "rb") as file:
                read = os.fstat(file.fileno())
                with np.load(file, allow_pickle=False) as arrays:
                    digests, features = arrays["digests"], arrays["features"]
                if digests.dtype.kind != "S" or features.dtype != np.float32 or features.shape[:1] != digests.shape:
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
