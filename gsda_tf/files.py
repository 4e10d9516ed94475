"""Writing files so that they are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator

from gsda_tf.errors import UserError


def write_atomically(path: str, text: str) -> None:
    """Writes text beside `path` and moves it into place.

    Raises:
      UserError: the folder cannot be written, or the disk is full.
    """
    folder = os.path.dirname(os.path.abspath(path))
    with disk_errors(f"writing {path}"):
        os.makedirs(folder, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(aside, 0o644)
            os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.remove(aside)
            raise


@contextlib.contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turns a full disk or a folder that cannot be written into one clear message.

    Args:
      doing: what was being done, as the message says it ("writing a checkpoint to ...").
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"No space left on the disk while {doing}: make room and run the same command again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR):
            raise UserError(
                f"Not allowed while {doing}: {error.strerror}. Choose a folder that can be written."
            ) from error
        raise
