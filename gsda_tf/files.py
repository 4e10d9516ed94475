"""Writing files so that they are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
import sys
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

from gsda_tf.errors import DiskError, UserError, shown

UNFINISHED = ".writing-"
"""What is being written begins with this, files and folders. Its writer holds a lock on it, which dies with it."""


@contextlib.contextmanager
def replacing(path: str, mode: str = "wb", doing: str = "", **options: Any) -> Iterator[IO]:
    """A file beside `path` that takes its place when the block ends: whole, and with the rights that the umask leaves.

    Nothing else is ever written to: where `path` is a symbolic link, the link itself is replaced.

    Args:
      path: the file that is wanted; its folder is made if needed.
      mode: of `open`.
      doing: what a message about the disk says instead of "writing `path`".
      **options: of `open`.

    Yields:
      The open file.

    Raises:
      DiskError: the folder cannot be written, or the disk is full; `path` is as it was.
    """
    folder = os.path.dirname(os.path.abspath(path))
    with disk_errors(doing or f"writing {path}"):
        os.makedirs(folder, exist_ok=True)
        aside, handle = _new(folder)
        try:
            with os.fdopen(handle, mode, **options) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.remove(aside)
            raise


def _new(folder: str) -> tuple[str, int]:
    while True:
        path = os.path.join(folder, UNFINISHED + secrets.token_hex(8))
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks: then nobody takes it for left over either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return path, handle
        os.close(handle)  # somebody who tidied was faster than the lock


def remove_unfinished(folder: str) -> None:
    """Removes what killed processes were writing in a folder; what is being written now stays."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if re.fullmatch(re.escape(UNFINISHED) + "[0-9a-f]{16}", name):
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError), locked(path, os.O_RDONLY | os.O_NOFOLLOW):
                    shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.remove(path)


@contextlib.contextmanager
def locked(path: str, flags: int = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, wait: bool = False) -> Iterator[int]:
    """A lock on a file, or on a folder with `flags=os.O_RDONLY`, which the kernel lets go of when its owner dies.

    Args:
      path: of the file; made if it is not there, never emptied, never followed if it is a link.
      flags: of `os.open`.
      wait: until another owner lets go of it.

    Yields:
      The open file.

    Raises:
      BlockingIOError: another process holds it.
      UserError: it is a symbolic link.
      OSError: it cannot be opened.
    """
    try:
        handle = _open(path, flags)
    except PermissionError:
        handle = _open(path, flags & ~(os.O_RDWR | os.O_CREAT))  # another user's: may be locked all the same
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield handle
    finally:
        os.close(handle)


def open_to_append(path: str) -> IO[bytes]:
    """Opens a file that only grows, unbuffered; made if it is not there, never followed if it is a link.

    Raises:
      UserError: it is a symbolic link.
      OSError: it cannot be opened.
    """
    return os.fdopen(_open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW), "ab", buffering=0)


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and os.path.islink(path):
            raise UserError(
                f"{path} is a symbolic link, and nothing is written through one: remove the link."
            ) from error
        raise


def open_regular(path: str, limit: int) -> IO[bytes]:
    """Opens a file that is going to be read whole; nothing is waited for, and nothing without an end is read.

    Args:
      path: of a file, or of a link to one.
      limit: bytes that it may have; a sparse file counts as long as it claims to be.

    Raises:
      UserError: it is a pipe, a device, a folder, or larger.
      OSError: it cannot be opened.
    """
    # Without O_NONBLOCK, opening a pipe that nobody writes to waits for ever.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_size <= limit:
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISREG(found.st_mode):
        raise UserError(f"{shown(path)} has {found.st_size:,} bytes: expected at most {limit:,}.")
    kind = "a pipe" if stat.S_ISFIFO(found.st_mode) else "a folder" if stat.S_ISDIR(found.st_mode) else "a device"
    raise UserError(f"{shown(path)} is {kind}: expected a file.")


def read_regular(path: str, limit: int) -> bytes:
    """Reads a file whole; see `open_regular`.

    Raises:
      UserError: it is a pipe, a device, a folder, or has more than `limit` bytes.
      OSError: it cannot be read.
    """
    with open_regular(path, limit) as file:
        data = file.read(limit + 1)
    if len(data) > limit:  # it grew, or lies about its size as those of /proc do
        raise UserError(f"{shown(path)} has more than {limit:,} bytes.")
    return data


def refuse_pattern(path: str, flag: str) -> None:
    """Raises UserError for a folder whose path TensorFlow takes for a pattern: it would find no weights there.

    Args:
      path: of the folder.
      flag: that names it.
    """
    if glob.has_magic(path):
        raise UserError(
            f"--{flag}={path}: TensorFlow takes *, ? and [ in the path of weights for a pattern: choose another folder."
        )


_AT_ONCE = 2**20
"""Bytes that are read of an archive at a time; so many say of some ten thousand members where they lie."""


class _Bounded(io.BufferedReader):
    """A file that is never read in large pieces: a list of members of any length is refused, not built."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(_AT_ONCE + 1 if size is None or size < 0 else size)
        if len(data) > _AT_ONCE:
            raise ValueError("too many members")
        return data


@contextlib.contextmanager
def open_archive(path: str, limit: int) -> Iterator[zipfile.ZipFile]:
    """Opens a ZIP archive of some thousand members at most, to be read in pieces; see `open_regular`.

    Raises:
      ValueError: it has more members.
      zipfile.BadZipFile: it is no archive.
    """
    with open_regular(path, limit) as raw, zipfile.ZipFile(_Bounded(raw.raw)) as archive:
        yield archive


def write_atomically(path: str, content: str | bytes | memoryview) -> None:
    """Writes text or bytes beside `path` and moves them into place; see `replacing`. Text is UTF-8, but for those bytes
    of a name that are no Unicode (surrogates)."""
    with replacing(path) as file:
        file.write(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)


def content_digest(folder: str, names: Iterable[str]) -> str:
    """Returns the SHA-256 of files, wherever their folder lies, in hexadecimal.

    Args:
      folder: of the files.
      names: their paths below it, in an order that is always the same.
    """
    digest = hashlib.sha256()
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            digest.update(f"{name} {os.fstat(file.fileno()).st_size} ".encode())
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def path_digest(path: str) -> str:
    """Returns `content_digest` of a file, or of all files below a folder; "" if there is neither."""
    if os.path.isfile(path):
        return content_digest(os.path.dirname(path), [os.path.basename(path)])
    found = [os.path.relpath(os.path.join(folder, name), path) for folder, _, names in os.walk(path) for name in names]
    return content_digest(path, sorted(found)) if found else ""


def cell(value: Any) -> Any:
    """Returns a value as a cell of a CSV file: text is text there, to a spreadsheet and to a terminal.

    What would begin a formula comes behind an apostrophe, as in a spreadsheet; control characters are escaped. Bytes
    of a name that are no Unicode stay as they are (surrogates).
    """
    if not isinstance(value, str):
        return value
    text = "".join(c if "\ud800" <= c <= "\udfff" else shown(c) for c in value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


@contextlib.contextmanager
def one_at_a_time(folder: str, what: str) -> Iterator[None]:
    """Lets one process at a time go on, where several would do the same work; the others say so and wait.

    Args:
      folder: where the lock is kept; made if needed.
      what: the work, as the message says it ("prepares office31").

    Raises:
      DiskError: the folder cannot be written.
    """
    path = os.path.join(folder, ".lock")
    with contextlib.ExitStack() as held:
        with disk_errors(f"writing to {folder}"):
            os.makedirs(folder, exist_ok=True)
            try:
                held.enter_context(locked(path))
            except BlockingIOError:
                print(f"Waiting for another process that {what} in {folder} ...", file=sys.stderr, flush=True)
                held.enter_context(locked(path, wait=True))
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
        if code not in (*FULL, *_REFUSED):
            raise
        raise DiskError(
            f"The disk refuses while {doing}: {os.strerror(code)}. Make room, or choose a folder that can be written, "
            "and run the same command again; it goes on from what is there."
        ) from error


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors that mean that the disk is full."""
_REFUSED = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EIO,
    errno.ESTALE, errno.ENOENT,
)  # fmt: skip


def _error_number(error: Exception) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    tf = sys.modules.get("tensorflow")  # if it was never imported, the error is not its own
    if tf is not None and isinstance(error, (tf.errors.OpError, RuntimeError)):
        # TensorFlow and the writer of records tell no number; their words do.
        return next((code for code in (*FULL, *_REFUSED) if os.strerror(code) in str(error)), None)
    return None
