"""Images inside .zip and .tar archives, read where they are: nothing is ever unpacked to disk.

An archive is somebody else's file. Member names that lead out of it, links, absurd numbers and absurd sizes
make it unusable; an archive that merely lies about and belongs to something else does no harm. (The archive iteration
of TFDS follows links, cuts `..` out of names and tells no sizes, so it cannot refuse these.)
"""

from __future__ import annotations

import contextlib
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator

from gsda_tf.errors import DataError
from gsda_tf.progress import progress

SUFFIXES = (".zip", ".tar.gz", ".tar", ".tgz")
MAX_MEMBERS = 1_000_000
MAX_TOTAL_BYTES = 64 * 2**30
MAX_IMAGE_BYTES = 64 * 2**20
_BROKEN = (OSError, EOFError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def stem(name: str) -> str | None:
    """The name of an archive without its suffix, "train.tar.gz" -> "train"; None of what is called like none."""
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)), None)


def listing(path: str) -> list[tuple[int, str]]:
    """Lists an archive without unpacking it.

    Returns:
      (place, name with `/` between the parts) of every regular file; `read` finds it by its place.

    Raises:
      DataError: it must not be used; says why, not which.
    """
    found, total = [], 0
    with _whole(""), contextlib.closing(_entries(path)) as entries:
        # A large tar has no table of contents: its headers lie all over it. Shown if it takes a while.
        looking = progress(entries, desc=f"Looking into {os.path.basename(path)}", unit=" files", leave=False, delay=2)
        for place, (name, size, kind, _) in enumerate(looking):
            total += size
            if len(found) >= MAX_MEMBERS or total > MAX_TOTAL_BYTES:
                raise DataError(f"it holds more than {MAX_MEMBERS:,} files or {MAX_TOTAL_BYTES >> 30} GiB")
            parts = name.replace("\\", "/").split("/")  # a backslash where a program for Windows wrote it
            if ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:", name):
                raise DataError(f"its member {name!r} leads out of the archive")
            if kind == "file":
                found.append((place, "/".join(parts)))
            elif kind != "folder":
                raise DataError(f"its member {name!r} is a {kind}, not a plain file")
    return found


def read(path: str, places: Container[int]) -> Iterator[tuple[int, bytes]]:
    """(place, bytes) of those members, in the order of the archive: a compressed one cannot be read out of order.

    Raises:
      DataError: a member is larger than any image, or cannot be read.
    """
    with _whole(f"{path}: "), contextlib.closing(_entries(path)) as entries:
        for place, (name, size, _, content) in enumerate(entries):
            if place not in places:
                continue
            if size > MAX_IMAGE_BYTES:
                raise DataError(
                    f"{path}: {name} has {size:,} bytes unpacked, more than any image ({MAX_IMAGE_BYTES >> 20} MiB): "
                    "the archive is not what it seems."
                )
            yield place, content()


@contextlib.contextmanager
def _whole(where: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise DataError(f"{where}it is damaged or not complete ({error}): get it anew") from error


def _entries(path: str) -> Iterator[tuple[str, int, str, Callable[[], bytes]]]:
    """(name, size, kind, what reads it) of every entry; kind is "file", "folder", or what else it is.

    No more than the announced size is read, and both libraries tell if there is less or, in a zip, another sum.
    """
    if path.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                # The upper half of the attributes is the Unix mode; 0o120000 marks a symbolic link.
                link = (info.external_attr >> 16) & 0o170000 == 0o120000
                kind = "folder" if info.is_dir() else "link" if link else "file"
                yield info.filename, info.file_size, kind, lambda i=info: archive.open(i).read(i.file_size)
        return
    with tarfile.open(path) as archive:
        for info in archive:
            plain = "folder" if info.isdir() else "file" if info.isreg() and not info.issparse() else ""
            kind = plain or "link, a device or a sparse file"
            yield info.name, info.size, kind, lambda i=info: archive.extractfile(i).read()
            archive.members = []  # tarfile keeps every header it has seen: 150,000 of them are 200 MB
