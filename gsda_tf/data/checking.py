"""Finds image files that are damaged or no images, and leaves them out or refuses them.

Facts about every image of a domain are kept, so that images that have not changed are not read again.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import PIL
import tensorflow as tf
from tqdm import tqdm

from gsda_tf.data.classes import listed
from gsda_tf.data.domain import DomainData, TaskData, evenly
from gsda_tf.data.image_files import BadImageError
from gsda_tf.errors import COMMANDS, DataError, DiskError, UserError, shown
from gsda_tf.files import read_regular, write_atomically
from gsda_tf.progress import progress
from gsda_tf.settings import DataSettings

_MOST_COMPARED = 1000
_RULES = f"6 {tf.__version__} {PIL.__version__}"
"""Facts depend on it besides the image: raise the number when other files are refused."""
_MOST_BYTES = 2**28
_TOLD_ELSEWHERE = (OSError, BadImageError, tf.errors.OpError)


def kept_in(settings: DataSettings) -> str:
    """The folder of what is known of images: beside the prepared data sets."""
    return os.path.join(os.path.expanduser(settings.data_dir or os.path.join("~", "tensorflow_datasets")), "checked")


def _of_each(look: Callable[[int], str | None], domain: DomainData, doing: str, what: str, folder: str) -> list:
    """A fact about each image of a domain, by several threads; only images that are new or have changed are looked at.

    Args:
      look: index of an image -> the fact.
      domain: n images.
      doing: what a progress bar says.
      what: the fact is, in a word.
      folder: keeps facts in a file by the stamp of each image. One that cannot be read or written costs time only; "":
        all images are looked at.

    Returns:
      n facts.
    """
    stamps = [_short(domain.records.stamp(index)) if folder else None for index in range(len(domain))]
    where = os.path.dirname(domain.records.name(0)) if stamps else ""
    name = hashlib.blake2b(os.fsencode(f"{domain.name}\0{what}\0{where}"), digest_size=12).hexdigest()
    path, known = os.path.join(folder, f"{name}.json"), {}
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError, UserError):
        held = dict(json.loads(read_regular(path, _MOST_BYTES))) if folder else {}
        known = {stamp: fact for stamp, fact in held.items() if fact is None or isinstance(fact, str)}
    unread = [index for index, stamp in enumerate(stamps) if stamp not in known]
    with concurrent.futures.ThreadPoolExecutor(min(8, (os.cpu_count() or 1) * 2)) as pool:
        options = {"desc": f"{doing} {shown(domain.name)}", "unit": " images", "leave": False, "delay": 1}
        found = dict(zip(unread, progress(pool.map(look, unread), total=len(unread), **options)))
    facts = [found[index] if index in found else known[stamp] for index, stamp in enumerate(stamps)]
    now = {stamp: fact for stamp, fact in zip(stamps, facts) if stamp}
    if now != known and not os.path.islink(folder):
        with contextlib.suppress(DiskError):
            write_atomically(path, json.dumps(now))
    return facts


def _short(stamp: str | None) -> str | None:
    return stamp and hashlib.blake2b(os.fsencode(f"{_RULES}\0{stamp}"), digest_size=16).hexdigest()


def find_bad(domain: DomainData, decode: bool = True, kept_in: str = "") -> list[tuple[int, str]]:
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
    found = _of_each(check, domain, "checking", "damage", kept_in) if check else ()
    return [(index, reason) for index, reason in enumerate(found) if reason]


def content_digests(domain: DomainData, kept_in: str = "") -> np.ndarray:
    """A digest of each image's content, 'S32' [n]; see `find_bad`.

    The same image has the same digest in whatever folder, list or benchmark it lies.

    Raises:
      DataError: an image cannot be read any more.
    """

    def of_one(index: int) -> str:
        if (digest := content(domain, index)) is None:  # which would be the same for all such images
            raise DataError(
                f"{shown(domain.records.name(index))} cannot be read: mend or remove it, or leave it out with "
                "--on_bad_image=skip."
            )
        return digest

    return np.asarray(_of_each(of_one, domain, "reading", "content", kept_in), "S32")


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
    found = []
    for role, domain in data.roles:
        bad = find_bad(domain, kept_in=kept_in) if on_bad_image == "skip" else find_bad(domain, decode=False)
        if bad and on_bad_image == "error":
            raise DataError(refusal(role, domain, bad))
        for index, reason in bad:
            tqdm.write(f"Left out of the {role}: {shown(domain.records.name(index))}: {reason}.")
        found.append([index for index, _ in bad])
    data = leave_out(data, *found)
    return dataclasses.replace(data, remarks=(*data.remarks, *remark_on_images(data)))


def remark_on_images(data: TaskData) -> list[str]:
    """Returns a line if some images are in both domains, by their content; up to a thousand that may be are read."""
    source, target = data.source, data.target
    theirs, ours = ([domain.records.key(i) for i in range(len(domain))] for domain in (source, target))
    shared = {*theirs} & {*ours} - {None}
    alike = [index for index, key in enumerate(ours) if key in shared]
    read = [alike[i] for i in evenly(len(alike), _MOST_COMPARED)]
    wanted = {ours[index] for index in read}
    candidates = [index for index, key in enumerate(theirs) if key in wanted]
    chosen = [candidates[i] for i in evenly(len(candidates), 4 * _MOST_COMPARED)]
    known = {content(source, index): index for index in chosen}
    known.pop(None, None)
    pairs = [(index, known[digest]) for index in read if (digest := content(target, index)) in known]
    if not pairs:
        return []
    one, other = (shown(domain.records.name(index)) for domain, index in zip((target, source), pairs[0]))
    more = " or more" if len(read) < len(alike) else ""
    return [
        f"{len(pairs):,}{more} of the {len(target):,} target images are in the source too ({other} is {one}): the "
        "accuracy on the target says less of new images."
    ]


def content(domain: DomainData, index: int) -> str | None:
    """Returns a digest of an image as it is stored; None if it cannot be read."""
    with contextlib.suppress(*_TOLD_ELSEWHERE):
        data = domain.records.stored(index)
        data = domain.records.stamp(index).encode() if data is None else data
        return hashlib.blake2b(data, digest_size=16).hexdigest()
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
    domains = {}
    for (role, domain), indices in zip(data.roles, (source, target)):
        good = domain.chosen(np.setdiff1d(np.arange(len(domain)), indices)) if len(indices) else domain
        gone = np.setdiff1d(domain.labels, good.labels)
        if len(gone):
            what = f"class {data.class_names[gone[0]]!r}" if gone[0] >= 0 else "folder"
            raise DataError(f"No image of the {role}'s {what} can be read: expected at least one undamaged file.")
        domains[role] = good
    return dataclasses.replace(data, **domains)


def refusal(role: str, domain: DomainData, bad: list[tuple[int, str]]) -> str:
    """One line that names the files that cannot be read, and says what to do."""
    named = [f"{shown(domain.records.name(index))}: {reason}" for index, reason in bad]
    return (
        f"{len(bad):,} of the {len(domain):,} {role} images cannot be read: {listed(named, '; ')}. Mend or remove "
        f"them, or leave them out with --on_bad_image=skip; `python -m {COMMANDS}.inspect` with the same flags lists "
        "them all."
    )


@contextlib.contextmanager
def decoding_errors(data: TaskData) -> Iterator[None]:
    """Names the image behind a TensorFlow error inside the block, which itself tells no file.

    Raises:
      DataError: in place of an error of a TensorFlow operation, if some image cannot be decoded.
    """
    try:
        yield
    except _READING as error:
        for role, domain in data.roles:
            if bad := find_bad(domain):
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
