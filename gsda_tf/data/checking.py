"""Finds image files that are damaged or no images, and leaves them out or refuses them."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from gsda_tf.data.check_cache import remembered
from gsda_tf.data.domain import Domain, TaskData, evenly
from gsda_tf.data.image_files import BadImageError, odd
from gsda_tf.errors import COMMANDS, DataError, shown
from gsda_tf.progress import progress

_SHOWN = 5
_LOOKED_AT = 32
_MOST_COMPARED = 1000


def find_bad(domain: Domain, decode: bool = True, kept_in: str = "") -> list[tuple[int, str]]:
    """The images of a domain that cannot be read.

    Args:
      domain: n images.
      decode: each is decoded, which finds all; else a look at the head and end of files, some 10,000 a second.
      kept_in: folder in which what was found is kept; images that have not changed since are not decoded again. "": all
        are.

    Returns:
      (index, reason) of each.
    """
    check = domain.records.check(decode)
    if check is None:
        return []

    def find(indices: Sequence[int]) -> list[str | None]:
        what = f"checking {shown(domain.name)}"
        with concurrent.futures.ThreadPoolExecutor(min(8, (os.cpu_count() or 1) * 2)) as pool:
            said = pool.map(check, indices)
            return list(progress(said, total=len(indices), desc=what, unit=" images", leave=False, delay=1))

    return [(index, reason) for index, reason in enumerate(remembered(find, domain, "damage", kept_in)) if reason]


def check_images(data: TaskData, on_bad_image: str, kept_in: str = "") -> TaskData:
    """Looks at every image file before training starts.

    Args:
      data: of a task.
      on_bad_image: "error": a look at head and end of each file; "skip": each image is decoded, so that none can
        stop the run, and those that cannot be are told once each and left out.
      kept_in: see `find_bad`.

    Returns:
      The task without them.

    Raises:
      DataError: "error", and there are such files; "skip", and a class or a domain has no other.
    """
    found, remarks = [], list(data.remarks)
    for role, domain in (("source", data.source), ("target", data.target)):
        bad = find_bad(domain, kept_in=kept_in) if on_bad_image == "skip" else find_bad(domain, decode=False)
        if bad and on_bad_image == "error":
            raise DataError(refusal(role, domain, bad))
        for index, reason in bad:
            tqdm.write(f"Left out of the {role}: {shown(domain.records.name(index))}: {reason}.")
        found.append([index for index, _ in bad])
    data = leave_out(data, *found)
    for role, domain in (("source", data.source), ("target", data.target)):
        remarks += remark_on_odd(role, domain)
    remarks += remark_on_shared(data.source, data.target)
    return dataclasses.replace(data, remarks=tuple(remarks))


def remark_on_odd(role: str, domain: Domain) -> list[str]:
    """A line for each kind of likely mistake in images, by a look at a few of them: `image_files.odd`."""
    chosen, found = evenly(len(domain), _LOOKED_AT), collections.defaultdict(list)
    for index in chosen:
        with contextlib.suppress(OSError, BadImageError, tf.errors.OpError):  # told elsewhere
            record = domain.records.stored(int(index))
            if record is None:
                return []
            reason = odd(record)
            if reason:
                found[reason].append(domain.records.name(int(index)))
    return [
        f"{len(names)} of {len(chosen)} {role} images that were looked at ({shown(names[0])}) {reason}."
        for reason, names in found.items()
    ]


def remark_on_shared(source: Domain, target: Domain) -> list[str]:
    """A line if images are in both domains, by content; up to a thousand target images that may be are read."""
    places = collections.defaultdict(list)
    for index in range(len(source)):
        places[source.records.key(index)].append(index)
    places.pop(None, None)
    alike = [index for index in range(len(target)) if target.records.key(index) in places]
    read = [alike[i] for i in evenly(len(alike), _MOST_COMPARED)]
    candidates = [other for key in {target.records.key(index) for index in read} for other in places[key]]
    known = {_content(source, candidates[i]): candidates[i] for i in evenly(len(candidates), 4 * _MOST_COMPARED)}
    known.pop(None, None)
    shared = [(known[digest], index) for index in read for digest in [_content(target, index)] if digest in known]
    if not shared:
        return []
    names = [shown(domain.records.name(index)) for domain, index in zip((source, target), shared[0])]
    more = " or more" if len(read) < len(alike) else ""
    return [
        f"{len(shared):,}{more} of the {len(target):,} target images are in the source too ({names[0]} is {names[1]}): "
        "the accuracy on the target says less of new images."
    ]


def _content(domain: Domain, index: int) -> bytes | None:
    with contextlib.suppress(OSError, BadImageError, tf.errors.OpError):  # told elsewhere
        stored = domain.records.stored(index)
        return hashlib.blake2b(domain.records.mark(index) if stored is None else stored).digest()
    return None


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
        good = domain.chosen(np.setdiff1d(np.arange(len(domain)), indices)) if len(indices) else domain
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
            if domain.records.failure is not None:
                raise domain.records.failure from error
        if not isinstance(error, _READING):
            raise
        for role, domain in (("source", data.source), ("target", data.target)):
            bad = find_bad(domain)
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
