"""Facts about every image of a domain, kept so that images that have not changed are not read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence

import PIL
import tensorflow as tf

from gsda_tf.data.domain import Domain
from gsda_tf.errors import DiskError, UserError
from gsda_tf.files import read_regular, write_atomically
from gsda_tf.settings import DataSettings

_RULES = f"5 {tf.__version__} {PIL.__version__}"
"""Facts depend on it besides the image: raise the number when other files are refused."""
_MOST_BYTES = 2**28

Find = Callable[[Sequence[int]], Iterable["str | None"]]
"""Indices of images -> a fact about each."""


def kept_in(settings: DataSettings) -> str:
    """The folder of what is known of images: beside the prepared data sets."""
    return os.path.join(os.path.expanduser(settings.data_dir or os.path.join("~", "tensorflow_datasets")), "checked")


def remembered(find: Find, domain: Domain, what: str, folder: str) -> list[str | None]:
    """A fact about each image of a domain; only images that are new or have changed are looked at.

    Args:
      find: looks at images.
      domain: n images.
      what: the fact is, in a word.
      folder: keeps facts in a file by the stamp of each image. One that cannot be read or written costs time only; "":
        all images are looked at.

    Returns:
      n facts.
    """
    count = len(domain)
    if not folder:
        return list(find(range(count)))
    stamps = [_short(domain.records.stamp(index)) for index in range(count)]
    where = os.path.dirname(domain.records.name(0)) if count else ""
    name = hashlib.blake2b(os.fsencode(f"{domain.name}\0{what}\0{where}"), digest_size=12).hexdigest()
    path, known = os.path.join(folder, f"{name}.json"), {}
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError, UserError):
        held = dict(json.loads(read_regular(path, _MOST_BYTES)))
        known = {stamp: fact for stamp, fact in held.items() if fact is None or isinstance(fact, str)}
    unread = [index for index, stamp in enumerate(stamps) if stamp not in known]
    found = dict(zip(unread, find(unread)))
    facts = [found[index] if index in found else known[stamp] for index, stamp in enumerate(stamps)]
    now = {stamp: fact for stamp, fact in zip(stamps, facts) if stamp}
    if now != known:
        try:
            if os.path.islink(folder):
                raise DiskError(f"{folder} is a symbolic link.")
            write_atomically(path, json.dumps(now))
        except DiskError as error:
            print(f"Not kept, so that images are looked at again next time: {error}", flush=True)
    return facts


def _short(stamp: str | None) -> str | None:
    return stamp and hashlib.blake2b(os.fsencode(f"{_RULES}\0{stamp}"), digest_size=16).hexdigest()
