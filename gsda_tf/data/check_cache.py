"""What decoding every image file of a domain once has shown, kept so that unchanged files are not decoded again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator

import PIL
import tensorflow as tf

from gsda_tf.data.domain import Domain, Stamp
from gsda_tf.errors import DiskError
from gsda_tf.files import write_atomically
from gsda_tf.settings import DataSettings

_RULES = f"3 {tf.__version__} {PIL.__version__}"
"""What a verdict depends on besides the file: raise the number when other files are refused."""


def kept_in(settings: DataSettings) -> str:
    """Where verdicts are kept: beside the prepared data sets."""
    return os.path.join(os.path.expanduser(settings.data_dir or os.path.join("~", "tensorflow_datasets")), "checked")


class Found:
    """What was found of the images of a domain, kept in a file by where each lies, its size and its time of change.

    Args:
      folder: of such files. One that cannot be read or written costs time only.
      domain: of images.
      what: was found.
      settled: seconds for which an image must not have changed; before, another change might bear the same time.

    Attributes:
      stamps: of each image, in short; None where there is none, or it is not settled.
      known: what was found before, by stamp.
      now: what is true now, by stamp.
    """

    def __init__(self, folder: str, domain: Domain, what: str = "", settled: float = 0.0):
        stamps = [_stamp(domain, index) for index in range(len(domain))]
        paths = [stamp[0] for stamp in stamps if stamp]
        common = os.path.commonpath(paths) if paths else ""
        key = hashlib.blake2b(os.fsencode(f"{domain.name}\0{common}\0{what}"), digest_size=12).hexdigest()
        latest = time.time_ns() - int(settled * 1e9)
        self.stamps = [_short(stamp) if stamp and stamp[2] <= latest else None for stamp in stamps]
        self._path = os.path.join(folder, f"{key}.json")
        self.now: dict[str, str | None] = {}
        try:
            with open(self._path, encoding="utf-8") as file:
                self.known = dict(json.load(file))
        except (OSError, ValueError, TypeError):
            self.known = {}

    def keep(self) -> None:
        """Writes what is true now."""
        if self.now == self.known:
            return
        try:
            write_atomically(self._path, json.dumps(self.now))
        except DiskError as error:
            print(f"Not kept, so that images are looked at again next time: {error}", flush=True)


def _stamp(domain: Domain, index: int) -> Stamp | None:
    try:
        return domain.records.stamp(index)
    except (OSError, LookupError, AttributeError):
        return None


def _short(stamp: Stamp) -> str:
    text = "\0".join(map(str, (_RULES, *stamp)))
    return hashlib.blake2b(os.fsencode(text), digest_size=16).hexdigest()


@contextlib.contextmanager
def remembering(
    check: Callable[[int], str | None], folder: str, domain: Domain
) -> Iterator[Callable[[int], str | None]]:
    """`check`, which is asked only about files that are new or have changed.

    Args:
      check: says of the image of an index what is wrong with it.
      folder: keeps what it said, see `Found`.
      domain: whose records are files.
    """
    found = Found(folder, domain)

    def remembered(index: int) -> str | None:
        stamp = found.stamps[index]
        if stamp is None:
            return check(index)
        found.now[stamp] = found.known[stamp] if stamp in found.known else check(index)
        return found.now[stamp]

    yield remembered
    found.keep()
