"""Which image files are damaged or no images, and what becomes of them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from gsda_tf.data.check_cache import remembering
from gsda_tf.data.domain import Domain, Records, TaskData, stored
from gsda_tf.data.image_files import BadImageError, faint, stored_size
from gsda_tf.data.images import JPEG, PNG, decode
from gsda_tf.data.subset import evenly, subset
from gsda_tf.errors import COMMANDS, DataError, shown
from gsda_tf.progress import progress

_SHOWN = 5
_LOOKED_AT = 32
_TAIL = 4096


def check_file(path: str) -> str | None:
    """What is wrong with an image file, by its header and, of a JPEG or PNG, its end; the pixels are not decoded.

    Args:
      path: of a file that should be an image.

    Returns:
      The reason why it cannot be read, or None.
    """
    try:
        with open(path, "rb") as file:
            _check(file)
    except BadImageError as error:
        return str(error)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return None


def find_bad(domain: Domain) -> list[tuple[int, str]]:
    """The image files of a domain whose head or end shows that they cannot be read; some 10,000 files a second.

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
    with remembering(_by_decoding(domain), kept_in, domain) as check:
        return _find(domain, check)


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
    found, remarks = [], list(data.remarks)
    for role, domain in (("source", data.source), ("target", data.target)):
        bad = find_undecodable(domain, kept_in) if on_bad_image == "skip" else find_bad(domain)
        if bad and on_bad_image == "error":
            raise DataError(refusal(role, domain, bad))
        for index, reason in bad:
            tqdm.write(f"Left out of the {role}: {shown(domain.records.name(index))}: {reason}.")
        found.append([index for index, _ in bad])
    data = leave_out(data, *found)
    for role, domain in (("source", data.source), ("target", data.target)):
        remarks += remark_on_faint(role, domain)
    return dataclasses.replace(data, remarks=tuple(remarks))


def remark_on_faint(role: str, domain: Domain) -> list[str]:
    """A line if some image files of 16 bits a channel hold small numbers only; a few files are looked at."""
    chosen = evenly(len(domain), _LOOKED_AT) if _are_files(domain.records) else ()
    dark = []
    for index in chosen:
        with contextlib.suppress(OSError, BadImageError):  # told elsewhere
            if faint(stored(domain.records, int(index))):
                dark.append(domain.records.name(int(index)))
    if not dark:
        return []
    return [
        f"{len(dark)} of {len(chosen)} {role} images that were looked at ({shown(dark[0])}) have 16 bits a channel and "
        "use less than an eighth of that range, so they are seen as nearly black: multiply their values, or save them "
        "with 8 bits."
    ]


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
    except (tf.errors.OpError, BadImageError) as error:
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
    BadImageError,
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
        except BadImageError as error:
            return str(error)
        except tf.errors.OpError as error:
            return f"cannot be decoded: {str(error.message).splitlines()[0].split('} ')[-1].split(' [Op:')[0]}"
        return None

    return check


def _check(file: BinaryIO) -> None:
    head = file.read(32)
    if not head:
        raise BadImageError("empty file")
    for start, (kind, last, end) in _ENDS.items():
        if head.startswith(start) and not _ends(file, last, end):
            raise BadImageError(f"truncated {kind}, its end is missing")
    file.seek(0)
    stored_size(file)


def _ends(file: BinaryIO, last: bytes, end: bytes) -> bool:
    """Whether `end` comes behind the last `last`; most often it is the last thing there."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    if end in file.read():
        return True
    file.seek(0)
    content = file.read()
    return content.rfind(end) > content.rfind(last)


_ENDS = {JPEG: ("JPEG", b"\xff\xda", b"\xff\xd9"), PNG: ("PNG", b"IDAT", b"IEND")}
