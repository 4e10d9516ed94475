"""Which image files are damaged or no images, and what becomes of them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import io
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from gsda_tf.data.domain import Domain, Records, TaskData
from gsda_tf.data.images import MAX_PIXELS, SCAN_START, decode, too_many_scans
from gsda_tf.data.subset import subset
from gsda_tf.data.verdicts import Verdicts
from gsda_tf.errors import COMMANDS, DataError
from gsda_tf.progress import progress

_SHOWN = 5
_TAIL = 4096
_SCAN_MARKER, _END_MARKER = 0xDA, 0xD9
_GIF_EXTENSION, _GIF_FRAME = b"\x21", b"\x2c"
_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ONE_PASS_MARKERS = frozenset((0xC0, 0xC1))
"""Of a JPEG that is decoded as it is read, if its first scan has all channels; others may have scans without end."""
_READABLE_JPEG_CHANNELS = (1, 3, 4)


class _BadImageError(Exception):
    """Why a file is no image that can be read."""


def shown(path: str) -> str:
    """A path on one line, as a message shows it: what cannot be printed is escaped."""
    return path if path.isprintable() else path.encode("unicode_escape", "backslashreplace").decode("ascii")


def check_file(path: str) -> str | None:
    """What is wrong with an image file, by its header and its end; the pixels are not decoded.

    Args:
      path: of a file that should be a JPEG, PNG, GIF or BMP.

    Returns:
      The reason why it cannot be read, or None.
    """
    try:
        with open(path, "rb") as file:
            _check(file)
    except _BadImageError as error:
        return str(error)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return None


def check_record(record: bytes) -> str | None:
    """`check_file` of a file that was read."""
    try:
        _check(io.BytesIO(record))
    except _BadImageError as error:
        return str(error)
    return None


def image_size(path: str) -> tuple[int, int] | None:
    """Height and width by the header; None if the file is no image that can be read."""
    try:
        with open(path, "rb") as file:
            return _check(file)
    except (_BadImageError, OSError):
        return None


def find_bad(domain: Domain) -> list[tuple[int, str]]:
    """The image files of a domain whose head or end shows that they cannot be read; some 20,000 files a second.

    Returns:
      (index, reason) of each; none where images are not files of their own.
    """
    return _find(domain, _by_header(domain)) if _are_files(domain.records) else []


def find_undecodable(domain: Domain, kept_in: str = "") -> list[tuple[int, str]]:
    """The encoded images of a domain that cannot be decoded: what `find_bad` finds, and damage further in.

    Args:
      domain: whose images are decoded.
      kept_in: folder in which what was found of files is kept; files that have not changed since are not decoded
        again. "": all are.

    Returns:
      (index, reason) of each.
    """
    if not domain.records.encoded:
        return []
    if not kept_in or not _are_files(domain.records):
        return _find(domain, _by_decoding(domain))
    verdicts = Verdicts(kept_in, domain)
    bad = _find(domain, verdicts.remembering(_by_decoding(domain)))
    verdicts.keep()
    return bad


def _find(domain: Domain, check: Callable[[int], str | None]) -> list[tuple[int, str]]:
    with concurrent.futures.ThreadPoolExecutor(min(8, (os.cpu_count() or 1) * 2)) as pool:
        reasons = progress(
            pool.map(check, range(len(domain))),
            total=len(domain),
            desc=f"checking {shown(domain.name)}",
            unit=" images",
            leave=False,
            delay=1,
        )
        return [(index, reason) for index, reason in enumerate(reasons) if reason]


def check_images(data: TaskData, on_bad_image: str, kept_in: str = "") -> TaskData:
    """Looks at every image file before training starts.

    Args:
      data: of a task.
      on_bad_image: "error": a look at head and end of each file; "skip": each image is decoded, so that none can
        stop the run, and those that cannot be are told once each and left out.
      kept_in: see `find_undecodable`.

    Returns:
      The task without them.

    Raises:
      DataError: "error", and there are such files; "skip", and a class or a domain has no other.
    """
    found = []
    for role, domain in (("source", data.source), ("target", data.target)):
        bad = find_undecodable(domain, kept_in) if on_bad_image == "skip" else find_bad(domain)
        if bad and on_bad_image == "error":
            raise DataError(refusal(role, domain, bad))
        for index, reason in bad:
            tqdm.write(f"Left out of the {role}: {shown(domain.records.name(index))}: {reason}.")
        found.append([index for index, _ in bad])
    return leave_out(data, *found)


def leave_out(data: TaskData, source: Sequence[int], target: Sequence[int]) -> TaskData:
    """A task without some images.

    Args:
      data: of a task.
      source: indices of the source's images that are left out.
      target: the same for the target.

    Raises:
      DataError: a class or an unlabelled domain is left without images.
    """
    domains = []
    for role, domain, indices in (("source", data.source, source), ("target", data.target, target)):
        good = subset(domain, np.setdiff1d(np.arange(len(domain)), indices))
        gone = np.setdiff1d(domain.labels, good.labels)
        if len(gone):
            what = f"class {data.class_names[gone[0]]!r}" if gone[0] >= 0 else "folder"
            raise DataError(f"No image of the {role}'s {what} can be read: expected at least one undamaged file.")
        domains.append(good)
    return dataclasses.replace(data, source=domains[0], target=domains[1])


def refusal(role: str, domain: Domain, bad: list[tuple[int, str]]) -> str:
    """One line that names the files that cannot be read, and says what to do."""
    named = "; ".join(f"{shown(domain.records.name(index))}: {reason}" for index, reason in bad[:_SHOWN])
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    count = "1 image" if len(bad) == 1 else f"{len(bad)} images"
    return (
        f"{count} of the {role} cannot be read: {named}{more}. Mend or remove them, or leave them out with "
        f"--on_bad_image=skip; `python -m {COMMANDS}.inspect` with the same flags lists them all."
    )


@contextlib.contextmanager
def decoding_errors(data: TaskData) -> Iterator[None]:
    """Names the image behind a TensorFlow error inside the block, which itself tells no file.

    Raises:
      DataError: in place of an error of a TensorFlow operation, if some image cannot be decoded.
      DiskError: likewise, if decoded images cannot be kept (`--cache`).
    """
    try:
        yield
    except tf.errors.OpError as error:
        for domain in (data.source, data.target):
            failure = getattr(domain.records, "failure", None)
            if failure is not None:
                raise failure from error
        if not isinstance(error, _READING):
            raise
        for role, domain in (("source", data.source), ("target", data.target)):
            bad = find_undecodable(domain)
            if bad:
                raise DataError(refusal(role, domain, bad)) from error
        raise


# Other kinds are no image's doing, and decoding all of them to find that out takes long.
_READING = (
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.DataLossError,
    tf.errors.UnknownError,
)


def _are_files(records: Records) -> bool:
    return getattr(records, "files", False)


def _by_header(domain: Domain) -> Callable[[int], str | None]:
    return lambda index: check_file(domain.records.name(index))


def _by_decoding(domain: Domain) -> Callable[[int], str | None]:
    records = domain.records

    def check(index: int) -> str | None:
        if _are_files(records):
            reason = check_file(records.name(index))
            if reason:
                return reason
        try:
            decode(records.load(tf.constant(index, tf.int64)))
        except tf.errors.OpError as error:
            return f"cannot be decoded: {str(error.message).splitlines()[0].split('} ')[-1].split(' [Op:')[0]}"
        return None

    return check


def _check(file: BinaryIO) -> tuple[int, int]:
    """Height and width, or _BadImageError."""
    head = file.read(32)
    if not head:
        raise _BadImageError("empty file")
    for start, check in _FORMATS.items():
        if head.startswith(start):
            height, width = check(file, head)
            break
    else:
        raise _BadImageError(f"no JPEG, PNG, GIF or BMP, it begins with {head[:8]!r}")
    if height < 1 or width < 1:
        raise _BadImageError(f"its header says {width}x{height} pixels")
    if height * width > MAX_PIXELS:
        raise _BadImageError(f"{width}x{height} pixels, more than the {MAX_PIXELS:,} that are allowed")
    return height, width


def _jpeg(file: BinaryIO, head: bytes) -> tuple[int, int]:
    size, one_pass = None, False
    for marker, length in _jpeg_segments(file):
        if marker in _SIZE_MARKERS:
            frame = file.read(6)
            if len(frame) < 6:
                break
            _, height, width, channels = struct.unpack(">BHHB", frame)
            if channels not in _READABLE_JPEG_CHANNELS:
                raise _BadImageError(f"JPEG of {channels} channels, expected 1, 3 or 4")
            size, one_pass = (height, width), marker in _ONE_PASS_MARKERS
            file.seek(length - 6, os.SEEK_CUR)
        elif marker == _SCAN_MARKER:
            # Inside the scans, 0xFF 0xD9 is nothing but the end.
            one_pass = one_pass and file.read(1) == bytes([channels])
            if size and _ends_with(file, b"\xff\xd9"):
                if not one_pass:
                    _refuse_many_scans(file, *size)
                return size
            break
        else:
            file.seek(length, os.SEEK_CUR)
    raise _BadImageError("truncated JPEG, its end is missing")


def _refuse_many_scans(file: BinaryIO, height: int, width: int) -> None:
    file.seek(0)
    scans = file.read().count(SCAN_START)
    if too_many_scans(scans, height * width):
        raise _BadImageError(f"JPEG of {scans:,} scans of {width}x{height} pixels: save it anew")


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """(marker, bytes that follow) of each segment, the file at the first of these bytes."""
    file.seek(2)
    while True:
        byte = file.read(1)
        if not byte:
            return
        if byte != b"\xff":
            continue
        while byte == b"\xff":
            byte = file.read(1)
        if byte in (b"", b"\x00") or byte[0] == _END_MARKER:
            return
        length = file.read(2)
        if len(length) < 2:
            return
        yield byte[0], max(struct.unpack(">H", length)[0] - 2, 0)


def _ends_with(file: BinaryIO, end: bytes) -> bool:
    """Whether `end` comes after where the file is; most often it is the last thing there."""
    start = file.tell()
    file.seek(0, os.SEEK_END)
    file.seek(max(start, file.tell() - _TAIL))
    if end in file.read():
        return True
    file.seek(start)
    return end in file.read()


def _png(file: BinaryIO, head: bytes) -> tuple[int, int]:
    if len(head) < 24 or head[:8] != b"\x89PNG\r\n\x1a\n" or head[12:16] != b"IHDR":
        raise _BadImageError("damaged PNG header")
    width, height = struct.unpack(">II", head[16:24])
    file.seek(8)
    while True:
        chunk = file.read(8)
        if len(chunk) < 8:
            raise _BadImageError("truncated PNG, its end is missing")
        if chunk[4:] == b"IEND":
            return height, width
        file.seek(struct.unpack(">I", chunk[:4])[0] + 4, os.SEEK_CUR)


def _gif(file: BinaryIO, head: bytes) -> tuple[int, int]:
    if len(head) < 13:
        raise _BadImageError("truncated GIF")
    size, pixels = None, 0
    file.seek(13 + _palette_bytes(head[10]))
    while True:
        kind = file.read(1)
        if kind == _GIF_FRAME:
            frame = file.read(9).ljust(9, b"\0")
            width, height = struct.unpack("<HH", frame[4:8])
            pixels += width * height
            # The decoder takes memory for every frame, though the first alone is used.
            if pixels > MAX_PIXELS:
                raise _BadImageError(f"GIF of more than the {MAX_PIXELS:,} pixels that are allowed, frames together")
            file.seek(_palette_bytes(frame[8]) + 1, os.SEEK_CUR)
        elif kind == _GIF_EXTENSION:
            file.seek(1, os.SEEK_CUR)
        elif size:
            return size
        else:
            raise _BadImageError("truncated GIF, it holds no whole frame")
        length = file.read(1)
        while length not in (b"", b"\0"):
            file.seek(length[0], os.SEEK_CUR)
            length = file.read(1)
        if kind == _GIF_FRAME and length:
            size = size or (height, width)


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _bmp(file: BinaryIO, head: bytes) -> tuple[int, int]:
    if len(head) < 30:
        raise _BadImageError("truncated BMP")
    start, header, width, height, _, bits = struct.unpack("<IIiiHH", head[10:30])
    if bits not in (8, 24, 32):
        raise _BadImageError(f"BMP of {bits} bits a pixel, expected 8 (grey), 24 or 32: save it as PNG")
    file.seek(14 + header)
    palette = np.frombuffer(file.read(start - 14 - header) if bits == 8 else b"", np.uint8)
    if palette.size >= 4 and (np.diff(palette[: palette.size // 4 * 4].reshape(-1, 4)[:, :3].astype(int)) != 0).any():
        raise _BadImageError("BMP with a palette of colours: save it as PNG")
    needed = start + (width * bits + 31) // 32 * 4 * abs(height)
    if width * abs(height) <= MAX_PIXELS and file.seek(0, os.SEEK_END) < needed:
        raise _BadImageError("truncated BMP, its end is missing")
    return abs(height), width


_FORMATS = {b"\xff\xd8\xff": _jpeg, b"\x89PNG": _png, b"GIF8": _gif, b"BM": _bmp}
