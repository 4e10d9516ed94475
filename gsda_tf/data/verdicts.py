"""What decoding every image file of a domain once has shown, kept so that unchanged files are not decoded again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import PIL
import tensorflow as tf

from gsda_tf.data.domain import Domain
from gsda_tf.errors import DiskError
from gsda_tf.files import write_atomically
from gsda_tf.settings import DataSettings

_RULES = f"3 {tf.__version__} {PIL.__version__}"
"""What a verdict depends on besides the file: raise the number when other files are refused."""


def kept_in(settings: DataSettings) -> str:
    """Where verdicts are kept: beside the prepared data sets."""
    return os.path.join(os.path.expanduser(settings.data_dir or os.path.join("~", "tensorflow_datasets")), "checked")


class Verdicts:
    """Verdicts on the files of one domain: a line each, a digest of path, size and time of change, and what is wrong.

    Args:
      folder: of all such files.
      domain: whose records are files.
    """

    def __init__(self, folder: str, domain: Domain):
        self._names = [domain.records.name(index) for index in range(len(domain))]
        common = os.path.commonpath([os.path.abspath(name) for name in self._names]) if self._names else ""
        key = hashlib.blake2b(os.fsencode(f"{domain.name}\0{common}"), digest_size=12).hexdigest()
        self._path = os.path.join(folder, f"{key}.txt")
        self._known = self._read()
        self._now: dict[str, str] = {}

    def remembering(self, check: Callable[[int], str | None]) -> Callable[[int], str | None]:
        """`check`, which is asked only about files that are new or have changed."""

        def remembered(index: int) -> str | None:
            stamp = self._stamp(index)
            if stamp is None:
                return check(index)
            reason = self._known[stamp] if stamp in self._known else check(index) or ""
            self._now[stamp] = reason
            return reason or None

        return remembered

    def keep(self) -> None:
        """Writes what was found, if it is new. A folder that cannot be written costs time only."""
        if self._now == self._known:
            return
        lines = (f"{stamp} {reason.encode('unicode_escape').decode()}\n" for stamp, reason in self._now.items())
        try:
            write_atomically(self._path, "".join(lines))
        except DiskError as error:
            print(f"Not kept, so that images are decoded again next time: {error}", flush=True)

    def _stamp(self, index: int) -> str | None:
        try:
            found = os.stat(self._names[index])
        except OSError:
            return None
        text = f"{_RULES}\0{os.path.abspath(self._names[index])}\0{found.st_size}\0{found.st_mtime_ns}"
        return hashlib.blake2b(os.fsencode(text), digest_size=16).hexdigest()

    def _read(self) -> dict[str, str]:
        known = {}
        try:
            with open(self._path, encoding="utf-8") as file:
                for line in file:
                    stamp, _, reason = line.rstrip("\n").partition(" ")
                    known[stamp] = reason.encode().decode("unicode_escape")
        except (OSError, ValueError):
            return {}  # not there, or damaged: all are decoded
        return known
