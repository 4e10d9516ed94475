"""Image files: which names are looked at, and how a file becomes pixels, the same for every command.

TensorFlow decodes JPEG and PNG, here and in an export. Pillow makes a PNG of every other file that can be read, and
of those that lie on their side by their EXIF orientation: `plain`.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import os
import threading
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image, ImageOps

from gsda_tf.data.images import BACKGROUND, JPEG, MAX_PIXELS, PNG, SCAN_START, too_many_scans
from gsda_tf.errors import DataError, UserError, shown
from gsda_tf.files import open_regular

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp"),
    *(".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
"""Of the files that are read as images; what is in them decides how."""

UNREAD_SUFFIXES = (
    *(".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".ico", ".tga", ".psd", ".svg", ".eps", ".exr", ".hdr"),
    *(".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".dcm"),
)
"""Of images that are not read, which is said of each."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""Every format is one more decoder that a file from elsewhere reaches; no other is tried."""

READ = "JPEG, PNG, GIF, BMP, WebP, TIFF or PPM"

_LEFT_BEHIND = (
    *("@eadir", "#recycle", "@recycle", "__macosx", "$recycle.bin", "system volume information", "lost+found"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
)
MAX_BYTES = 2**30
"""Of one file; as many pixels as are decoded take less in any format."""

LEAST_SIDE = 1024
"""Pixels; an image that Pillow reads is halved while its shorter side stays as long."""

_TAIL = 4096
_EXTRA = 338  # tag of TIFF
_TOO_MANY = f"more than the {MAX_PIXELS:,} pixels that are allowed"
_PILLOW = threading.BoundedSemaphore(os.cpu_count() or 1)


class BadImageError(ValueError):
    """A file is no image that can be read; the message says why."""


def left_behind(name: str) -> bool:
    """True for files and folders that are hidden, or that systems and tools leave behind: never looked at."""
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def on_a_path_left_behind(path: str) -> bool:
    """As `left_behind`, of a path that the user wrote down or matched: what is only hidden was meant, and counts."""
    *above, name = path.replace("\\", "/").split("/")
    return name.startswith("._") or any(part.lower() in _LEFT_BEHIND for part in (*above, name))


def is_image(name: str) -> bool:
    """True if a file is read as an image, by its name."""
    return name.lower().endswith(SUFFIXES) and not left_behind(name)


def walk(top: str, what: str = "", again: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk through links and in the order of names, without what `left_behind` tells, each real folder once.

    Args:
      top: where to begin.
      what: what messages call it; "": what cannot be read is passed over.
      again: passes over a folder that is met again, as by a link.

    Raises:
      DataError: a folder cannot be read or is met again, or a link leads nowhere.
    """
    met: dict[str, str] = {}
    for folder, folders, files in os.walk(top, onerror=functools.partial(_unread, what), followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = sorted(name for name in folders if not left_behind(name))
        back = real in met or (met and next(iter(met)).startswith(os.path.join(real, "")))
        if back and again:
            folders.clear()
            continue
        if back:
            raise DataError(
                f"{shown(met.get(real, real))} and {shown(folder)} of {what} are the same folder, or one of them is "
                "a symbolic link that leads back: expected each once."
            )
        met[real] = folder
        names = sorted(name for name in files if not left_behind(name))
        for name in names:  # an image is told with those that cannot be read
            if what and not is_image(name) and not os.path.exists(path := os.path.join(folder, name)):
                raise DataError(f"The symbolic link {shown(path)} in {what} leads nowhere: mend or remove it.")
        yield folder, folders, names


def _unread(what: str, error: OSError) -> None:
    if what:
        where = shown(str(error.filename))
        raise DataError(
            f"{what} {where} cannot be read ({error.strerror}): expected a folder that can be read."
        ) from error


def not_read(names: Iterable[str]) -> str:
    """Counts names of files by their ending: '8 .heic, 3 .txt'."""
    others = collections.Counter(os.path.splitext(name)[1].lower() or "without an ending" for name in names)
    return ", ".join(f"{count:,} {shown(name)}" for name, count in sorted(others.items(), key=lambda x: (-x[1], x[0])))


def plain(record: bytes) -> bytes:
    """An image file as training, evaluation and an export decode it: a JPEG or PNG that is upright.

    Most files are returned as they are. Of all others Pillow reads the first frame or page: EXIF orientation is
    applied, 16 bits a channel become the upper 8, what is transparent shows `BACKGROUND`. Pixels that Pillow reads are
    halved while the shorter side stays at least `LEAST_SIDE`.

    Args:
      record: of a file.

    Raises:
      BadImageError: it is no image that can be read, or too large.
    """
    if any(record.startswith(start) and (exif not in record or not turned(record)) for start, exif in _EXIF.items()):
        return record
    # Few at once: each may take some hundred megabytes.
    with _PILLOW, _opened(record) as image:
        file = io.BytesIO()
        # By way of an array, which brings no profiles or other data; not compressed: it is read once, and soon.
        Image.fromarray(np.asarray(_rgb(image))).save(file, "PNG", compress_level=0)
        return file.getvalue()


def plain_record(record: tf.Tensor) -> tf.Tensor:
    """`plain` of a string scalar inside a tf.data pipeline. Python is asked only about files that may need it."""
    is_jpeg = tf.equal(tf.strings.substr(record, 0, len(JPEG)), JPEG)
    is_png = tf.equal(tf.strings.substr(record, 0, len(PNG)), PNG)
    parts = tf.raw_ops.StringSplitV2(input=record[None], sep=tf.where(is_jpeg, *_EXIF.values())).values
    surely = (is_jpeg | is_png) & tf.equal(tf.size(parts), 1)

    def made_plain() -> tf.Tensor:
        # Outside of a graph, TensorFlow hands over an array of no dimension.
        read = lambda x: plain(x if isinstance(x, bytes) else x.item())  # noqa: E731
        return tf.ensure_shape(tf.numpy_function(read, [record], tf.string, stateful=False), [])

    return tf.cond(surely, lambda: record, made_plain)


_EXIF = {JPEG: b"Exif\0", PNG: b"eXIf"}


def turned(record: bytes) -> bool:
    """True if an image file is stored turned or mirrored, by its EXIF orientation; False if that cannot be read."""
    try:
        with _opened(record) as image:
            return 2 <= image.getexif().get(ExifTags.Base.Orientation, 1) <= 8
    except BadImageError:
        return False  # Told where it is decoded.


def stored_size(record: bytes | BinaryIO) -> tuple[int, int]:
    """Width and height of an image file as it is stored, by its header; of an open file, little more is read.

    Raises:
      BadImageError: it is no image that can be read, or too large.
    """
    with _opened(record) as image:
        return image.size


def _plain_band(image: Image.Image) -> bool:
    """True if the fourth band of a TIFF is taken for transparency though nothing says so."""
    extra = getattr(image, "tag_v2", {}).get(_EXTRA, ())
    return image.format == "TIFF" and image.mode == "RGBA" and not {1, 2, 999} & {*np.atleast_1d(extra)}


def check_file(path: str) -> str | None:
    """Says what is wrong with an image file, by its header and, of a JPEG or PNG, its end; pixels are not decoded.

    Args:
      path: of a file that should be an image.

    Returns:
      The reason why it cannot be read, or None.
    """
    try:
        with open_regular(path, MAX_BYTES) as file:
            _check(file)
    except BadImageError as error:
        return str(error)
    except UserError as error:  # no file, or too large
        return str(error).removeprefix(shown(path)).strip(" .")
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return None


def _check(file: BinaryIO) -> None:
    head, size = file.read(len(PNG)), file.seek(0, os.SEEK_END)
    for start, (kind, last, end) in _ENDS.items():
        file.seek(max(0, size - _TAIL))
        if head.startswith(start) and end not in file.read():
            file.seek(0)
            content = file.read()  # much may stand behind the end
            if content.rfind(end) <= content.rfind(last):
                raise BadImageError(f"truncated {kind}, its end is missing")
    file.seek(0)
    stored_size(file)


_ENDS = {JPEG: ("JPEG", b"\xff\xda", b"\xff\xd9"), PNG: ("PNG", b"IDAT", b"IEND")}


@contextlib.contextmanager
def _opened(record: bytes | BinaryIO) -> Iterator[Image.Image]:
    """The header of an image file, refused if it is of no known format or too large, as is what cannot be decoded."""
    file = io.BytesIO(record) if isinstance(record, bytes) else record
    try:
        with Image.open(file, formats=_FORMATS) as image:
            pixels = image.width * image.height
            if not 0 < pixels <= MAX_PIXELS:
                raise BadImageError(f"{image.width}x{image.height} pixels, {_TOO_MANY if pixels else 'none'}")
            # What is decoded is read whole anyway, and decoding counts the scans of what is not decoded here.
            if image.format in ("JPEG", "MPO") and (file is not record or "progressive" in image.info):
                file.seek(0)
                scans = file.read().count(SCAN_START)
                if too_many_scans(scans, pixels):
                    raise BadImageError(f"JPEG of {scans:,} scans of {image.width}x{image.height} pixels: save it anew")
            if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
                raise BadImageError(
                    f"{image.format} of signed, floating-point or 32-bit numbers, whose range is not known: save it "
                    "with 8 bits, or unsigned 16"
                )
            yield image
    except Image.UnidentifiedImageError as error:
        file.seek(0)
        bands = "of one, three or four bands of 8 bits, or unsigned 16"
        begin = file.read(8)
        reason = f"no {READ} {bands}, that can be read, it begins with {begin!r}" if begin else "empty file"
        raise BadImageError(reason) from error
    except Image.DecompressionBombError as error:
        raise BadImageError(_TOO_MANY) from error
    except (BadImageError, MemoryError):
        raise
    except Exception as error:  # Pillow's readers raise most kinds that there are, by what is damaged
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise BadImageError(f"cannot be decoded: {reason}") from error


def _rgb(image: Image.Image) -> Image.Image:
    """The pixels as they are seen, halved."""
    image.draft("RGB", (LEAST_SIDE, LEAST_SIDE))
    image = as_seen(image)
    return image.reduce(2 ** max(0, (min(image.size) // LEAST_SIDE).bit_length() - 1))


def as_seen(image: Image.Image) -> Image.Image:
    """A picture upright, with 8 bits a channel, on `BACKGROUND` where it is transparent."""
    image.load()
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # damaged EXIF data, of any kind: the pixels may be fine
        pass
    if _plain_band(image):
        image = Image.merge("RGB", image.split()[:3])
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        under = Image.new("RGBA", image.size, (BACKGROUND,) * 3 + (255,))
        under.alpha_composite(image.convert("RGBA"))
        image = under
    return image.convert("RGB")
