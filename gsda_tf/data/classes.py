"""Checks of classes, wherever they come from."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Sequence

import numpy as np

from gsda_tf.data.domain import UNLABELLED, Domain
from gsda_tf.errors import DataError, shown

_SHOWN = 4
_MANY = 20
"""Fewer classes that are numbers may well be classes, however few images they have."""


def check_classes(source: Domain, names: Sequence[str], where: str) -> list[str]:
    """Looks at the classes of a source.

    Args:
      source: labelled images.
      names: r names.
      where: what messages call the source.

    Returns:
      Remarks: classes of no image, and of one.

    Raises:
      DataError: there is one class only, or the names are measurements or serial numbers.
    """
    if len(names) == 1:
        raise DataError(f"{where} has 1 class, {names[0]!r}: expected at least 2.")
    numbers = [name for name in names if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", name, re.IGNORECASE)]
    broken = [name for name in numbers if not re.fullmatch(r"[+-]?\d+", name)]
    if 2 * len(numbers) > len(names) and 2 * len(names) > len(source) and (broken or len(names) > _MANY):
        few = ", ".join((broken or numbers)[:_SHOWN])
        raise DataError(
            f"The labels of {where} are {len(names):,} different ones for {len(source):,} images, mostly numbers "
            f"({few}, ...): expected classes, each with several images. Measurements cannot be learnt here; divide "
            "them into ranges, or label each image with its class."
        )
    counts = np.bincount(source.labels, minlength=len(names))
    remarks = []
    kinds = {
        0: "no source image ({}): nothing is learnt",
        1: "a single source image ({}): little can be learnt",
    }
    for count, told in kinds.items():
        few = [shown(name) for name, found in zip(names, counts) if found == count]
        if few:
            listed = ", ".join(few[:_SHOWN]) + (", ..." if len(few) > _SHOWN else "")
            remarks.append(f"{len(few):,} of the {len(names):,} classes have {told.format(listed)}.")
    return remarks


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


def lacking(name: str, names: Sequence[str], where: str) -> str:
    """The message that a class of the target is none of the source's."""
    near = difflib.get_close_matches(name.casefold(), [n.casefold() for n in names], n=1)
    hint = "".join(f" The nearest there is {n!r}." for n in names if near and n.casefold() == near[0])
    return (
        f"The target's class {name!r} ({where}) is not a class of the source, which has {len(names)}: "
        f"{', '.join(names[:8])}{', ...' if len(names) > 8 else ''}.{hint} Rename it or leave it out: the classes of "
        "the target must be among the source's."
    )


def plain_name(path: str) -> str:
    """The last parts of a path that tell what it is, fit for a name of a run."""
    parts = [part for part in os.path.abspath(path).split(os.sep) if part]
    if len(parts) > 1 and parts[-1].lower() == "images":
        parts.pop()
    return re.sub(r"[^\w.-]+", "-", os.path.splitext(parts[-1])[0] if parts else "root").strip("-.") or "data"
