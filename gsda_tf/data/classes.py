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
from gsda_tf.data.records import Records
from gsda_tf.errors import DataError, nearest, shown
from gsda_tf.settings import REJECT, DataSettings

NOTHING = "no_source"
"""The name of a source that is not there."""
_SHOWN = 5
_NO_LABEL = ("", "-1", "nan", "<na>")
_MANY = 20
"""Fewer classes that are numbers may well be classes, however few images they have."""


@dataclasses.dataclass(frozen=True)
class Brought:
    """The images of a domain as a user brings them.

    Attributes:
      places: paths of the folders or files that they are from.
      counts: images of each place, in whose order they stand.
      records: n images.
      classes: of each image by name, None where there is none.
      at: what a message calls an image, by its index.
      name: of the domain; "": that of its places.
    """

    places: Sequence[str]
    counts: Sequence[int]
    records: Records
    classes: Sequence[str | None]
    at: Callable[[int], str] = "image {}".format
    name: str = ""

    def domain(self, names: Sequence[str], by_class: bool) -> DomainData:
        """The domain whose labels count in `names`; `by_class`: in their order, those without a label last."""
        title = self.name or "+".join(map(plain_name, self.places)) or NOTHING
        domain = DomainData(title, self.records, labels_of(self.classes, names, self.at))
        if len(self.places) > 1:
            called = tuple(map(plain_name, self.places))
            called = called if len(set(called)) == len(called) else tuple(self.places)
            numbers = np.repeat(np.arange(len(called), dtype=np.int32), self.counts)
            domain = dataclasses.replace(domain, places=numbers, place_names=called)
        order = np.argsort(domain.labels.astype(np.uint32), kind="stable")
        return domain.chosen(order) if by_class and (np.diff(order) < 0).any() else domain


def labelled(source: Brought) -> Brought:
    """Returns a source as it is.

    Raises:
      DataError: an image has no label.
    """
    if bare := source.classes.count(None):
        raise DataError(
            f"{bare:,} of the {len(source.classes):,} images of the source have no label, the first is "
            f"{source.at(source.classes.index(None))}: expected one each."
        )
    return source


def own_task(
    kind: str,
    source: Brought,
    target: Brought,
    names: Sequence[str],
    settings: DataSettings,
    remarks: Iterable[str] = (),
    by_class: bool = True,
) -> TaskData:
    """The task of two domains that a user brings, whose classes are looked at.

    Args:
      kind: of the pipeline, first part of the task's name.
      source: `labelled` images; none where a run is adapted without them.
      target: images.
      names: r names of the source's classes. Behind them stand those that the target alone has, if they count as
        unknown.
      settings: of the data.
      remarks: on how the data were read.
      by_class: whether images are put in the order of their classes.

    Raises:
      DataError: a place is given twice; there is one class only, or the names are measurements or serial numbers; two
        places call a class nearly alike; the target has a class that the source has not.
    """
    places: dict[str, str] = {}
    for place in (*source.places, *target.places):
        other = places.get(os.path.realpath(place))
        if other is not None:
            raise DataError(f"{shown(other)} and {shown(place)} are one place: expected the images of two domains.")
        places[os.path.realpath(place)] = place
    edges = np.cumsum([0, *source.counts])
    refuse_alike([dict.fromkeys(source.classes[a:b]) for a, b in zip(edges, edges[1:])], source.places)
    others = sorted({*target.classes} - {None, *names}) if settings.unknown == REJECT else []
    refuse_alike([names, others], ["the source", "the target"])
    names = (*names, *others)
    domains = [each.domain(names, by_class) for each in (source, target)]
    task = TaskData(f"{kind}/{domains[0].name}_{domains[1].name}", *domains, names, remarks=tuple(remarks))
    count = len(task.source)
    if not count:
        return task
    where = f"the source ({', '.join(map(shown, source.places))})"
    if len(names) == 1:
        raise DataError(f"{where} has 1 class, {names[0]!r}: expected at least 2.")
    numbers = [name for name in names if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", name, re.IGNORECASE)]
    broken = [name for name in numbers if not re.fullmatch(r"[+-]?\d+", name)]
    if 2 * len(numbers) > len(names) and 2 * len(names) > count and (broken or len(names) > _MANY):
        raise DataError(
            f"The labels of {where} are {len(names):,} different ones for {count:,} images, mostly numbers "
            f"({listed(broken or numbers)}): expected classes, each with several images. Measurements cannot be learnt "
            "here; divide them into ranges, or label each image with its class."
        )
    return task


def few_images(data: TaskData) -> list[str]:
    """Says which classes have no source image, and which have only one, a line each."""
    counts, said = np.bincount(data.source.labels, minlength=len(data.class_names)), []
    for count, images, what in ((0, "no source image", "nothing is"), (1, "a single source image", "little can be")):
        if few := [shown(name) for name, found in zip(data.known, counts) if found == count]:
            said.append(
                f"{len(few):,} of the {len(data.known):,} classes have {images} ({listed(few)}): {what} learnt."
            )
    return said


def listed(names: Sequence[str], gap: str = ", ") -> str:
    """The first few names, for a message."""
    return gap.join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")


def refuse_alike(classes: Sequence[Iterable[str]], places: Sequence[str]) -> None:
    """Raises DataError if two places call a class by names that differ in case, spaces, hyphens or accents only.

    Args:
      classes: names of the classes of each place.
      places: what messages call them.
    """
    seen: dict[str, tuple[str, set[str], str]] = {}
    for names, place in zip(classes, places):
        here = {*names}
        for name in names:
            plain = unicodedata.normalize("NFKD", name).casefold()
            key = re.sub(r"[\W_]+", "", plain) or name
            other, there, where = seen.setdefault(key, (name, here, place))
            if name not in there:
                raise DataError(
                    f"{shown(where)} has the class {other!r} and {shown(place)} {name!r}: are they one? Call it by one "
                    "name in all sources, or give them names that differ."
                )


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
            raise DataError(
                f"The class {name!r} ({at(index)}) is not a class of the source, which has {len(names)}: "
                f"{listed(names)}.{nearest(name.casefold(), names)} Rename it or leave it out: classes of the target "
                "must be among the source's; with --unknown=reject, others count as unknown."
            )
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


def class_written(word: str) -> str | None:
    """As `class_name`; None for the words by which people and programs say that there is no label."""
    name = class_name(word)
    return None if name.casefold() in _NO_LABEL else name


def plain_name(path: str) -> str:
    """The last parts of a path that tell what it is, fit for a name of a run."""
    parts = [part for part in os.path.abspath(path).split(os.sep) if part]
    if len(parts) > 1 and parts[-1].lower() == "images":
        parts.pop()
    return re.sub(r"[^\w.-]+", "-", os.path.splitext(parts[-1])[0] if parts else "root").strip("-.") or "data"
