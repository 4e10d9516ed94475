"""Files in object storage, `gs://`, `s3://` and others of fsspec's, for listing, reading and writing results.

Whoever answers there may lie: what is read is counted as it comes, and nobody is waited for without end.
"""

import glob
import os
import posixpath
import re
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

from gsda_tf.errors import DiskError, UserError, shown
from gsda_tf.threads import in_thread

_KINDS = ("gs", "gcs", "s3", "s3a", "az", "abfs", "abfss", "adl", "oss", "hf", "http", "https", "hdfs", "sftp", "ssh",
          "ftp", "memory")  # fmt: skip
"""Others of fsspec's unpack archives, follow references, read this machine's files, or hold all that a server sends."""
_WEB = ("http://", "https://")
_MOST_TEXT = 10**9
"""Bytes: a list of some ten million paths."""
_SECONDS, _LISTING_SECONDS = 300.0, 900.0
"""How long a file is waited for, and what may take longer."""
_BLOCK = 1 << 20
_Value = TypeVar("_Value")


class TooLargeError(ValueError):
    """A file is larger than whoever asks can use."""


def remote(path: str) -> bool:
    """Returns whether a path is an address."""
    return re.match(r"[A-Za-z][\w+.:-]*://", path) is not None


def beside(folder: str, path: str) -> str:
    """Returns a path that is relative to a folder, as seen from elsewhere; addresses stay what they are."""
    return path if remote(path) else os.path.join(folder, path)


def find(where: str, suffixes: tuple[str, ...]) -> list[str]:
    """Returns addresses of the files that `where` names, sorted: one, a pattern with * or ?, or all below a folder.

    Args:
      where: an address.
      suffixes: of the names, in lower case; hidden files and folders are left out.

    Raises:
      UserError: the storage cannot be reached, or does not say what lies there.
    """
    if where.startswith(_WEB):
        if where.lower().endswith(suffixes):
            return [where]
        raise UserError(
            f"{shown(where)} is on a web server, which lists no folders: give an image's address, or a list."
        )
    system, path = _system(where)
    search = system.glob if glob.has_magic(path) else system.find
    found = _reach(where, lambda: search(path), _LISTING_SECONDS)
    plain = re.split(r"[*?\[]", path)[0]
    above = len(posixpath.dirname(plain) if plain != path else path.rstrip("/"))
    kept = [name for name in found if name.lower().endswith(suffixes) and "/." not in name[above:]]
    return sorted(system.unstrip_protocol(name) for name in kept)


def read(path: str, most: int) -> bytes:
    """Returns what a file holds.

    Args:
      path: an address.
      most: bytes; of a larger file not much more is read, whatever its length is said to be.

    Raises:
      FileNotFoundError: it is not there.
      TooLargeError: it is larger than `most`.
      UserError: the storage cannot be reached, or does not send it.
    """
    system, name = _system(path)
    options = {"block_size": 0} if path.startswith(_WEB) else {}  # as it comes: not what is sent, whole, before

    def work() -> bytes:
        data = bytearray()
        with system.open(name, "rb", **options) as file:
            while len(data) <= most and (block := file.read(min(_BLOCK, most + 1 - len(data)))):
                data += block
        return bytes(data)

    if len(data := _reach(path, work, passed=(FileNotFoundError,))) > most:
        raise TooLargeError(f"larger than {most:,} bytes")
    return data


def text(path: str) -> str:
    """Returns a UTF-8 file, as `read`.

    Raises:
      UserError: it is not there, or no UTF-8.
    """
    try:
        return read(path, _MOST_TEXT).decode("utf-8-sig")
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"{shown(path)} cannot be read: {error}") from error


def upload(local: str, path: str) -> None:
    """Copies a file to an address, where it appears whole.

    Raises:
      UserError: the storage cannot be reached, or written.
    """
    system, name = _system(path)
    _reach(path, lambda: system.put_file(local, name), _LISTING_SECONDS)


def _system(path: str) -> tuple[Any, str]:
    kind = path.split("://")[0]
    if kind.lower() not in _KINDS:
        known = ", ".join(f"{name}://" for name in _KINDS if name != "memory")
        raise UserError(f"{shown(path)} is not read or written: expected a path, or an address of {known}.")
    try:
        import fsspec

        return fsspec.core.url_to_fs(path)
    except Exception as error:  # each kind of storage has a package of its own, which it names, and errors of its own
        raise _unreachable(path, error) from error


def _unreachable(path: str, error: Exception) -> UserError:
    said = next(iter(str(error).splitlines()), "")[:300]
    kind = UserError if isinstance(error, (ImportError, ValueError)) else DiskError
    return kind(f"{shown(path)} cannot be reached: {type(error).__name__}: {shown(said)}")


def _reach(path: str, work: Callable[[], _Value], seconds: float = 0.0, passed: tuple = ()) -> _Value:
    """Returns what `work` returns within some seconds, 0: `_SECONDS`; tells in one line what a storage raises, of
    whatever kind, but for errors that are `passed`."""
    ended = in_thread(work)  # nobody can end a thread that waits for a server
    if not futures.wait([ended], seconds or _SECONDS).done:
        raise DiskError(f"{shown(path)} cannot be reached: it took more than {seconds or _SECONDS:.0f} s.")
    try:
        return ended.result()
    except passed:
        raise
    except Exception as error:
        raise _unreachable(path, error) from error
