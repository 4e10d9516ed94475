"""Checks of classes, wherever they come from."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from gsda_tf.data.domain import UNLABELLED, DomainData, TaskData
from gsda_tf.errors import DataError, nearest, shown
from gsda_tf.settings import REJECT, DataSettings

NOTHING = "no_source"
"""The name of a source that is not there."""
_SHOWN = 4
_MANY = 20
"""Fewer classes that are numbers may well be classes, however few images they have."""


def own_task(
    kind: str, source: DomainData, target: DomainData, names: Sequence[str], where: str, remarks: Iterable[str]
) -> TaskData:
    """The task of two domains that a user brings, whose classes are looked at.

    Args:
      kind: of the pipeline, first part of the task's name.
      source: labelled images.
      target: images.
      names: r names.
      where: what messages call the source.
      remarks: on how the data were read.

    Raises:
      DataError: there is one class only, or the names are measurements or serial numbers.
    """
    task = TaskData(f"{kind}/{source.name}_{target.name}", source, target, tuple(names), remarks=tuple(remarks))
    if not len(source):  # a run is adapted without it
        return task
    if len(names) == 1:
        raise DataError(f"{where} has 1 class, {names[0]!r}: expected at least 2.")
    numbers = [name for name in names if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", name, re.IGNORECASE)]
    broken = [name for name in numbers if not re.fullmatch(r"[+-]?\d+", name)]
    if 2 * len(numbers) > len(names) and 2 * len(names) > len(source) and (broken or len(names) > _MANY):
        raise DataError(
            f"The labels of {where} are {len(names):,} different ones for {len(source):,} images, mostly numbers "
            f"({listed(broken or numbers)}): expected classes, each with several images. Measurements cannot be learnt "
            "here; divide them into ranges, or label each image with its class."
        )
    return task


def few_images(data: TaskData) -> list[str]:
    """Tells the classes of no source image, and of one, a line each."""
    counts, said = np.bincount(data.source.labels, minlength=len(data.class_names)), []
    for count, told in (
        (0, "no source image ({}): nothing is learnt"),
        (1, "a single source image ({}): little can be learnt"),
    ):
        few = [shown(name) for name, found in zip(data.known, counts) if found == count]
        if few:
            said.append(f"{len(few):,} of the {len(data.known):,} classes have {told.format(listed(few))}.")
    return said


def listed(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def widened(names: Sequence[str], found: Iterable[str | None], settings: DataSettings) -> tuple[str, ...]:
    """Returns the classes of the source and, behind them, those that the target alone has, if they count as unknown.

    Raises:
      DataError: one of them is called almost as one of the source's.
    """
    others = sorted(set(found) - {None, *names}) if settings.unknown == REJECT else []
    refuse_alike([names, others], ["the source", "the target"])
    return (*names, *others)


def refuse_alike(classes: Sequence[Iterable[str]], places: Sequence[str]) -> None:
    """Raises DataError if two places call a class by names that differ in case, spaces, hyphens or accents only.

    Args:
      classes: names of the classes of each place.
      places: what messages call them.
    """
    seen: dict[str, dict[str, str]] = {}
    for names, place in zip(classes, places):
        for name in names:
            plain = unicodedata.normalize("NFKD", name).casefold()
            alike = seen.setdefault(re.sub(r"[\W_]+", "", plain) or name, {})
            other, where = next(iter(alike.items()), (name, place))
            if alike.setdefault(name, place) == place != where:
                raise DataError(
                    f"{shown(where)} has the class {other!r} and {shown(place)} {name!r}: are they one? Call it by one "
                    "name in all sources, or give them names that differ."
                )


def from_places(source: DomainData, places: Sequence[str], numbers: np.ndarray) -> DomainData:
    """A source whose images come from several places.

    Args:
      source: its images.
      places: paths; one alone changes nothing.
      numbers: int32 [n], of the place that each image is from.
    """
    if len(places) < 2:
        return source
    names = tuple(plain_name(place) for place in places)
    if len(set(names)) < len(names):
        names = tuple(places)
    title = "+".join(plain_name(place) for place in places)
    return dataclasses.replace(source, name=title, places=numbers, place_names=names)


def labels_of(
    classes: Sequence[str | None], names: Sequence[str], at: Callable[[int], str] = "image {}".format
) -> np.ndarray:
    """Labels of images whose classes are known by name.

    Args:
      classes: of n images, None where there is none.
      names: r names in the order of their labels.
      at: what a message calls an image, by its index.

    Returns:
      int32 [n], -1 where there is none.

    Raises:
      DataError: a class is none of `names`.
    """
    label_of = {None: UNLABELLED, **{name: label for label, name in enumerate(names)}}
    for index, name in enumerate(classes):
        if name not in label_of:
            raise DataError(lacking(name, names, at(index)))
    return np.asarray([label_of[name] for name in classes], np.int32)


def class_name(written: str) -> str:
    """Returns the name of a class: an accent may be written in one character or in two, a folder's name by a code page.

    Bytes of a name that are no Unicode are read as Windows 1252, which Western systems wrote.
    """
    if not written.isascii():
        with contextlib.suppress(UnicodeEncodeError):
            written.encode()
            return unicodedata.normalize("NFC", written)
        return os.fsencode(written).decode("cp1252", "replace")
    return written


def lacking(name: str, names: Sequence[str], where: str) -> str:
    """The message that a class is none of the source's."""
    return (
        f"The class {name!r} ({where}) is not a class of the source, which has {len(names)}: {listed(names)}."
        f"{nearest(name.casefold(), names)} Rename it or leave it out: the classes of the target must be among the "
        "source's; with --unknown=reject, others count as unknown."
    )


def plain_name(path: str) -> str:
    """The last parts of a path that tell what it is, fit for a name of a run."""
    parts = [part for part in os.path.abspath(path).split(os.sep) if part]
    if len(parts) > 1 and parts[-1].lower() == "images":
        parts.pop()
    return re.sub(r"[^\w.-]+", "-", os.path.splitext(parts[-1])[0] if parts else "root").strip("-.") or "data"
