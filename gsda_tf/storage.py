"""Files in object storage, `gs://`, `s3://` and what else fsspec knows, for listing, reading and writing results."""

from __future__ import annotations

import contextlib
import glob
import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from typing import Any

from gsda_tf.errors import DiskError, UserError

_MOST_TEXT = 20_000_000_000
"""Bytes: a list of a hundred million paths."""


def remote(path: str) -> bool:
    """Whether a path is an address."""
    return "://" in path


def beside(folder: str, path: str) -> str:
    """A path that is relative to a folder, as seen from elsewhere; addresses stay what they are."""
    return path if remote(path) else os.path.join(folder, path)


def find(where: str, suffixes: tuple[str, ...]) -> list[str]:
    """Addresses of the files that `where` names, sorted: one, a pattern with * or ?, or all below a folder.

    Args:
      where: an address.
      suffixes: of the names, in lower case; hidden files and folders are left out.

    Raises:
      UserError: the storage cannot be reached.
    """
    system, path = _system(where)
    with _reached(where):
        found = system.glob(path) if glob.has_magic(path) else system.find(path)
    plain = re.split(r"[*?\[]", path)[0]
    above = len(posixpath.dirname(plain) if plain != path else path.rstrip("/"))
    kept = [name for name in found if name.lower().endswith(suffixes) and "/." not in name[above:]]
    return sorted(system.unstrip_protocol(name) for name in kept)


def read(path: str, most: int) -> bytes:
    """What a file holds.

    Args:
      path: an address.
      most: bytes.

    Raises:
      FileNotFoundError: it is not there.
      ValueError: it is larger than `most`.
      UserError: the storage cannot be reached.
    """
    system, name = _system(path)
    with _reached(path):
        size = system.info(name)["size"]
        if size is not None and size > most:
            raise ValueError(f"larger than {most:,} bytes")
        return system.cat_file(name)


def text(path: str) -> str:
    """A UTF-8 file, as `read`.

    Raises:
      UserError: it is not there, or no UTF-8.
    """
    try:
        return read(path, _MOST_TEXT).decode("utf-8-sig")
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def upload(local: str, path: str) -> None:
    """Copies a file to an address, where it appears whole.

    Raises:
      UserError: the storage cannot be reached, or written.
    """
    system, name = _system(path)
    with _reached(path):
        if hasattr(system, "makedirs"):
            system.makedirs(posixpath.dirname(name), exist_ok=True)
        with open(local, "rb") as source, system.open(name, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)


def _system(path: str) -> tuple[Any, str]:
    try:
        import fsspec

        return fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:  # each kind of storage has a package of its own, which it names
        raise UserError(f"{path} cannot be reached: {str(error).splitlines()[0]}") from error


@contextlib.contextmanager
def _reached(path: str) -> Iterator[None]:
    """Tells in one line what a storage raises, of whatever kind; missing files and sizes stay what they are."""
    try:
        yield
    except (FileNotFoundError, ValueError, UserError):
        raise
    except Exception as error:
        said = next(iter(str(error).splitlines()), "")[:300]
        raise DiskError(f"{path} cannot be reached: {type(error).__name__}: {said}") from error
