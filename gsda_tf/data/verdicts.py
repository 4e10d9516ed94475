"""What decoding every image file of a domain once has shown, kept so that unchanged files are not decoded again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator

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


@contextlib.contextmanager
def remembering(
    check: Callable[[int], str | None], folder: str, domain: Domain
) -> Iterator[Callable[[int], str | None]]:
    """`check`, which is asked only about files that are new or have changed.

    Args:
      check: says of the image of an index what is wrong with it.
      folder: keeps what it said, a file a domain, by a digest of path, size and time of change. One that cannot be
        read or written costs time only.
      domain: whose records are files.
    """
    names = [os.path.abspath(domain.records.name(index)) for index in range(len(domain))]
    common = os.path.commonpath(names) if names else ""
    key = hashlib.blake2b(os.fsencode(f"{domain.name}\0{common}"), digest_size=12).hexdigest()
    path = os.path.join(folder, f"{key}.json")
    now: dict[str, str | None] = {}
    try:
        with open(path, encoding="utf-8") as file:
            known = dict(json.load(file))
    except (OSError, ValueError, TypeError):
        known = {}

    def remembered(index: int) -> str | None:
        try:
            found = os.stat(names[index])
        except OSError:
            return check(index)
        text = f"{_RULES}\0{names[index]}\0{found.st_size}\0{found.st_mtime_ns}"
        stamp = hashlib.blake2b(os.fsencode(text), digest_size=16).hexdigest()
        now[stamp] = known[stamp] if stamp in known else check(index)
        return now[stamp]

    yield remembered
    if now != known:
        try:
            write_atomically(path, json.dumps(now))
        except DiskError as error:
            print(f"Not kept, so that images are decoded again next time: {error}", flush=True)
