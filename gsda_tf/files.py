"""Writing files so that they are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sys
import tempfile
from collections.abc import Collection, Iterator
from typing import Any

from gsda_tf.errors import DiskError, UserError


def write_atomically(path: str, content: str | bytes) -> None:
    """Writes text, as UTF-8, or bytes beside `path` and moves them into place.

    Raises:
      DiskError: the folder cannot be written, or the disk is full.
    """
    folder = os.path.dirname(os.path.abspath(path))
    with disk_errors(f"writing {path}"):
        os.makedirs(folder, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(aside, 0o644)
            os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.remove(aside)
            raise


def read_json(path: str, keys: Collection[str]) -> dict[str, Any]:
    """A JSON object that this package wrote.

    Raises:
      UserError: it is damaged: no JSON, or without some of `keys`.
    """
    try:
        with disk_errors(f"reading {path}"), open(path, encoding="utf-8") as file:
            value = json.load(file)
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): remove it, or start anew with --overwrite.") from error
    if not isinstance(value, dict) or not set(keys) <= set(value):
        missing = ", ".join(sorted(set(keys) - set(value))) if isinstance(value, dict) else "an object"
        raise UserError(f"{path} is damaged (without {missing}): remove it, or start anew with --overwrite.")
    return value


@contextlib.contextmanager
def one_at_a_time(folder: str, what: str) -> Iterator[None]:
    """Lets one process at a time go on, where several would do the same work; the others say so and wait.

    Args:
      folder: where the lock is kept; made if needed.
      what: the work, as the message says it ("prepares office31").

    Raises:
      DiskError: the folder cannot be written.
    """
    with disk_errors(f"writing to {folder}"):
        os.makedirs(folder, exist_ok=True)
        file = open(os.path.join(folder, ".lock"), "w")  # noqa: SIM115 - closed below
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"Waiting for another process that {what} in {folder} ...", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turns a full disk or a folder that cannot be written into one clear message.

    Args:
      doing: what was being done, as the message says it ("writing a checkpoint to ...").

    Raises:
      DiskError: in place of an OSError, or of TensorFlow's errors that tell of one.
    """
    try:
        yield
    except Exception as error:
        code = _error_number(error)
        if code in _FULL:
            raise DiskError(
                f"No space left on the disk while {doing} ({os.strerror(code)}): make room and run the same command "
                "again; it goes on from what is there."
            ) from error
        if code in _DENIED:
            raise DiskError(
                f"Not allowed while {doing}: {os.strerror(code)}. Choose a folder that can be written."
            ) from error
        if code in _FAILED:
            raise DiskError(
                f"The disk failed while {doing}: {os.strerror(code)}. Look after it and run the same command again."
            ) from error
        raise


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR)
_FAILED = (errno.EIO, errno.ESTALE, errno.ENOENT)


def _error_number(error: Exception) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    tf = sys.modules.get("tensorflow")  # if it was never imported, the error is not its own
    if tf is not None and isinstance(error, tf.errors.OpError):
        # TensorFlow has no numbers, and its kinds do not tell a full disk from a full memory; its words do.
        return next((code for code in (*_FULL, *_DENIED, *_FAILED) if os.strerror(code) in str(error)), None)
    return None
