"""Images inside .zip and .tar archives, read where they are: nothing is ever unpacked to disk.

An archive is somebody else's file. Member names that lead out of it, links, absurd numbers and absurd sizes
make it unusable; an archive that merely lies about and belongs to something else does no harm.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gsda_tf.errors import DataError
from gsda_tf.progress import progress

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MAX_MEMBERS = 1_000_000
MAX_TOTAL_BYTES = 64 * 2**30
MAX_IMAGE_BYTES = 64 * 2**20
_BROKEN = (OSError, EOFError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error, NotImplementedError)


class Member(NamedTuple):
    """A regular file in an archive.

    Attributes:
      path: its name there, with `/` between the parts.
      size: bytes, unpacked.
      place: what `read` needs to find it again: the name in a zip, the offset in a tar.
    """

    path: str
    size: int
    place: str | int


class Listing(NamedTuple):
    """What an archive holds.

    Attributes:
      members: the regular files.
      problem: why the archive must not be used, None if it may.
    """

    members: list[Member]
    problem: str | None


def is_archive(name: str) -> bool:
    """Whether a file is called like an archive that can be read."""
    return name.lower().endswith(SUFFIXES)


def stem(name: str) -> str:
    """The name of an archive without its suffix: "train.tar.gz" -> "train"."""
    return next(name[: -len(s)] for s in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(s))


def listing(path: str) -> Listing:
    """Lists an archive without unpacking it."""
    members: list[Member] = []
    total = 0
    try:
        with contextlib.closing(_entries(path)) as entries:
            # A large tar has no table of contents: its headers lie all over it. Shown if it takes a while.
            looking = progress(
                entries, desc=f"Looking into {os.path.basename(path)}", unit=" files", leave=False, delay=2
            )
            for name, size, place, kind in looking:
                total += size
                if len(members) >= MAX_MEMBERS or total > MAX_TOTAL_BYTES:
                    return Listing([], f"it holds more than {MAX_MEMBERS:,} files or {MAX_TOTAL_BYTES >> 30} GiB")
                if _escapes(name):
                    return Listing([], f"its member {name!r} leads out of the archive")
                if kind == "folder":
                    continue
                if kind != "file":
                    return Listing([], f"its member {name!r} is a {kind}, not a plain file")
                members.append(Member(name, size, place))
    except _BROKEN as error:
        return Listing([], f"it is damaged or not complete ({error})")
    return Listing(members, None)


def read(path: str, members: Sequence[Member]) -> Iterator[bytes]:
    """The bytes of members, in the order given; the order of the archive is the fast one.

    Raises:
      DataError: a member is larger than any image, or cannot be read.
    """
    try:
        with contextlib.ExitStack() as stack:
            if path.lower().endswith(".zip"):
                archive = stack.enter_context(zipfile.ZipFile(path))
                for member in members:
                    with archive.open(str(member.place)) as file:
                        yield _whole(path, member, file.read(_checked_size(path, member) + 1))
            else:
                # The offsets that tarfile tells count unpacked bytes, so one reader serves both kinds.
                file = stack.enter_context(_unpacked(path))
                for member in members:
                    file.seek(member.place)
                    yield _whole(path, member, file.read(_checked_size(path, member)))
    except _BROKEN as error:
        raise DataError(f"{path} is damaged or not complete ({error}): get it anew.") from error


def _unpacked(path: str):
    return open(path, "rb") if path.lower().endswith(".tar") else gzip.open(path, "rb")


def _checked_size(path: str, member: Member) -> int:
    if member.size > MAX_IMAGE_BYTES:
        raise DataError(
            f"{path}: {member.path} has {member.size:,} bytes unpacked, more than any image "
            f"({MAX_IMAGE_BYTES >> 20} MiB): the archive is not what it seems."
        )
    return member.size


def _whole(path: str, member: Member, data: bytes) -> bytes:
    if len(data) != member.size:
        raise DataError(f"{path}: {member.path} has {len(data):,} bytes, announced {member.size:,}: get it anew.")
    return data


def _entries(path: str) -> Iterator[tuple[str, int, str | int, str]]:
    """(name, size, place, kind) of every entry; kind is "file", "folder", or what else it is."""
    if path.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                # The upper half of the attributes is the Unix mode; 0o120000 marks a symbolic link.
                link = (info.external_attr >> 16) & 0o170000 == 0o120000
                kind = "folder" if info.is_dir() else "link" if link else "file"
                yield info.filename, info.file_size, info.filename, kind
        return
    with tarfile.open(path) as archive:
        for info in archive:
            yield info.name, info.size, info.offset_data, _tar_kind(info)
            archive.members = []  # tarfile keeps every header it has seen: 150,000 of them are 200 MB


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.issparse():
        return "sparse file"
    if info.isreg():
        return "file"
    if info.isdir():
        return "folder"
    return "link" if info.issym() or info.islnk() else "device"


def _escapes(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:", name) is not None
