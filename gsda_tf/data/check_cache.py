"""What a look at every image of a domain has shown, kept so that images that have not changed are not read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator

import PIL
import tensorflow as tf

from gsda_tf.data.domain import Domain
from gsda_tf.data.records import Check
from gsda_tf.errors import DiskError, UserError
from gsda_tf.files import read_regular, write_atomically
from gsda_tf.settings import DataSettings

_RULES = f"4 {tf.__version__} {PIL.__version__}"
"""What is found depends on it besides the file: raise the number when other files are refused."""
_MOST_KEPT = 2**30


def kept_in(settings: DataSettings) -> str:
    """Where it is kept: beside the prepared data sets."""
    return os.path.join(os.path.expanduser(settings.data_dir or os.path.join("~", "tensorflow_datasets")), "checked")


class Found:
    """What was found of the images of a domain, kept in a file by the stamp of each.

    Args:
      folder: of such files. One that cannot be read or written costs time only.
      domain: of images.
      what: was found.

    Attributes:
      stamps: of each image, in short; None where there is none.
      known: what was found before, by stamp.
      now: what is true now, by stamp.
    """

    def __init__(self, folder: str, domain: Domain, what: str):
        self.stamps = [_short(domain.records.stamp(index)) for index in range(len(domain))]
        key = hashlib.blake2b(f"{domain.name}\0{what}".encode(errors="surrogateescape"), digest_size=8)
        if len(domain):
            key.update(os.fsencode(os.path.dirname(domain.records.name(0))))
        self._path = os.path.join(folder, f"{key.hexdigest()}.json")
        self.now: dict[str, str | None] = {}
        self.known: dict[str, str | None] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError, UserError):
            known = dict(json.loads(read_regular(self._path, _MOST_KEPT)))
            self.known = {stamp: value for stamp, value in known.items() if value is None or isinstance(value, str)}

    def keep(self) -> None:
        """Writes what is true now."""
        if self.now == self.known:
            return
        try:
            if os.path.islink(os.path.dirname(self._path)):
                raise DiskError(f"{os.path.dirname(self._path)} is a symbolic link.")
            write_atomically(self._path, json.dumps(self.now))
        except DiskError as error:
            print(f"Not kept, so that images are looked at again next time: {error}", flush=True)


def _short(stamp: str | None) -> str | None:
    return stamp and hashlib.blake2b(os.fsencode(f"{_RULES}\0{stamp}"), digest_size=16).hexdigest()


@contextlib.contextmanager
def remembering(check: Check, folder: str, domain: Domain) -> Iterator[Check]:
    """`check`, which is asked only about images that are new or have changed.

    Args:
      check: says of the image of an index what is wrong with it.
      folder: keeps what it said, see `Found`.
      domain: of images.
    """
    found = Found(folder, domain, "damage")

    def remembered(index: int) -> str | None:
        stamp = found.stamps[index]
        if stamp is None:
            return check(index)
        found.now[stamp] = found.known[stamp] if stamp in found.known else check(index)
        return found.now[stamp]

    yield remembered
    found.keep()
