"""Own data in two lists: `path label` a line, labels as numbers or as names."""

from __future__ import annotations

import collections
import dataclasses
import os
import re

import numpy as np

from gsda_tf.data.checking import shown
from gsda_tf.data.domain import UNLABELLED, Domain, FileRecords, TaskData
from gsda_tf.data.folders import SUFFIXES, lacking, plain_name, refuse_single
from gsda_tf.errors import DataError, UserError
from gsda_tf.settings import DataSettings

_CLASHES, _SHARE = 2, 0.1
"""Folders are taken for classes if labels and folders go together but for this many lines, or this share of them."""
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a list: its number from 1 on, the path as written, and the label, None if there is none."""

    number: int
    path: str
    label: str | None

    @property
    def folder(self) -> str:
        """The name of the folder that the image lies in; in published data sets, its class."""
        return os.path.basename(os.path.dirname(self.path))


@dataclasses.dataclass(frozen=True)
class ImageList:
    """A list file.

    Attributes:
      path: of the file.
      lines: those that are not blank, in order.
      labelled: whether every line has a label; else none has.
      numbered: whether all labels are whole numbers.
    """

    path: str
    lines: tuple[Line, ...]
    labelled: bool
    numbered: bool

    def at(self, line: Line) -> str:
        """What a message calls a line."""
        return f"{shown(self.path)} line {line.number} ('{shown(line.path)} {line.label}')"


def load_lists(settings: DataSettings) -> TaskData:
    """The task of `--pipeline=lists`.

    Args:
      settings: `source_list`, `target_list` and `image_root`.

    Returns:
      Classes in the order of the source's numbers, or of their names; images in the order of class and path.

    Raises:
      UserError: a flag is missing.
      DataError: the lists are not as expected, or disagree.
    """
    for flag in ("source_list", "target_list"):
        if not getattr(settings, flag):
            raise UserError(f"--pipeline=lists needs --{flag}=FILE with 'path label' a line.")
    source, target = read_list(settings.source_list), read_list(settings.target_list)
    if not source.labelled:
        raise DataError(
            f"{shown(source.path)} line 1 ({shown(source.lines[0].path)!r}) has no label: expected 'path label'."
        )
    paths = [find_images(each, settings.image_root) for each in (source, target)]
    if os.path.samefile(source.path, target.path) or set(paths[0]) == set(paths[1]):
        raise DataError(
            f"--source_list={shown(source.path)} and --target_list={shown(target.path)} list the same images: expected "
            "those of two domains."
        )
    classes, names = reconcile(source, target)
    refuse_single(names, f"--source_list={shown(source.path)}")
    domains = [_domain(each.path, *both, names) for each, both in zip((source, target), zip(paths, classes))]
    name = f"lists/{plain_name(source.path)}_{plain_name(target.path)}"
    return TaskData(name, domains[0], domains[1], names)


def read_list(path: str) -> ImageList:
    """Reads a list file: UTF-8 with or without a byte-order mark, or UTF-16; any line ends.

    Raises:
      DataError: it cannot be read, is empty, or has lines that are not `path label`.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise DataError(f"List {shown(path)} cannot be read ({error.strerror}): expected a file.") from error
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise DataError(f"List {shown(path)} line {number} is no UTF-8 text: save the list as UTF-8.") from error
    return parse_list(path, text)


def parse_list(path: str, text: str) -> ImageList:
    """The lines of a list.

    The label is the last word of a line; a line that ends with the name of an image has none.

    Args:
      path: what messages call the list.
      text: `path label` or `path` a line; paths may hold spaces.

    Raises:
      DataError: no lines, a line that has no path, or labels on some lines only.
    """
    lines = []
    for number, raw in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        line = raw.strip(" \t")
        if not line:
            continue
        if "\0" in line:
            raise DataError(f"List {shown(path)} line {number} holds a zero byte: expected text, 'path label' a line.")
        if line.lower().endswith(SUFFIXES):
            lines.append(Line(number, line, None))
            continue
        parts = re.split(r"[ \t]+(?=[^ \t]+$)", line)
        if len(parts) != 2:
            raise DataError(
                f"List {shown(path)} line {number} is {shown(line)!r}: expected 'path label', or the path of a "
                f"{', '.join(SUFFIXES)} file."
            )
        lines.append(Line(number, *parts))
    if not lines:
        raise DataError(f"List {shown(path)} is empty: expected 'path label' a line.")
    labelled = lines[0].label is not None
    for line in lines:
        if (line.label is not None) != labelled:
            raise DataError(
                f"List {shown(path)} line {line.number} ({shown(line.path)!r}) has {'no' if labelled else 'a'} label, "
                f"line {lines[0].number} has {'one' if labelled else 'none'}: expected labels on all lines or on none."
            )
    numbered = labelled and all(re.fullmatch(r"[+-]?[0-9]+", line.label) for line in lines)
    return ImageList(path, tuple(lines), labelled, numbered)


def find_images(images: ImageList, image_root: str) -> list[str]:
    """The path of each line's file.

    Args:
      images: a list.
      image_root: what its paths are relative to; "" is the list's own folder.

    Raises:
      DataError: a path leads out of the root, or files are not there.
    """
    root = os.path.abspath(image_root or os.path.dirname(images.path) or ".")
    if not os.path.isdir(root):
        raise DataError(
            f"--image_root={shown(image_root)} is no folder: expected what the lists' paths are relative to."
        )
    inside = root.rstrip(os.sep) + os.sep
    paths, missing = [], []
    for line in images.lines:
        path = os.path.normpath(os.path.join(root, line.path))
        if "\\" in line.path and not os.path.lexists(path):
            path = os.path.normpath(os.path.join(root, line.path.replace("\\", "/")))
        if not path.startswith(inside):
            raise DataError(
                f"{images.at(line)} leads out of {shown(root)}: expected a path below it. --image_root says what paths "
                "are relative to."
            )
        if not os.path.lexists(path):
            missing.append(line)
        paths.append(path)
    if missing:
        lines = ", ".join(f"line {line.number} ({shown(line.path)})" for line in missing[:_SHOWN])
        raise DataError(
            f"{len(missing)} of the {len(paths)} files of {shown(images.path)} are not there under {shown(root)}: "
            f"{lines}{', ...' if len(missing) > _SHOWN else ''}. Mend the list, or say with --image_root what its "
            "paths are relative to."
        )
    return paths


def reconcile(source: ImageList, target: ImageList) -> tuple[list[list[str | None]], tuple[str, ...]]:
    """Labels of both lists as names of classes.

    Projects number the same classes differently. Where the folders of a list's images tell the names of its
    classes, these names count and not the numbers.

    Returns:
      (names of the lines of source and target, names of the classes in the order of their labels).

    Raises:
      DataError: lines clash with one another, or the target has a class that the source lacks.
    """
    for each in (source, target):
        _check_numbers(each)
    told = _folder_of_label(source)
    source_names = told if told and source.numbered else {line.label: line.label for line in source.lines}
    target_names = _folder_of_label(target)
    if not target.numbered:
        target_names = {}
    elif source.numbered and (told is None or target_names is None or _elsewhere(target_names, source_names)):
        # Numbers without names mean what they mean in the source's list.
        target_names = source_names
    target_names = target_names or {}
    rank = (lambda label: int(label)) if source.numbered else (lambda label: label)
    names = tuple(dict.fromkeys(source_names[label] for label in sorted(source_names, key=rank)))
    known = set(names)
    for line in target.lines if target.labelled else ():
        name = target_names.get(line.label, line.label)
        if name in known:
            continue
        if target.numbered and source.numbered and name == line.label:
            numbers = sorted(int(label) for label in source_names)
            raise DataError(
                f"{target.at(line)}: label {line.label} is out of range: {shown(source.path)} has "
                f"{len(numbers)} labels from {numbers[0]} to {numbers[-1]}."
            )
        raise DataError(lacking(name, names, target.at(line)))
    classes = [
        [source_names[line.label] for line in source.lines],
        [None if line.label is None else target_names.get(line.label, line.label) for line in target.lines],
    ]
    return classes, names


def _elsewhere(names: dict[str, str], known: dict[str, str]) -> bool:
    """Whether all images lie in one folder that is no class: it tells nothing."""
    return len(names) == 1 and not set(names.values()) & set(known.values())


def _check_numbers(images: ImageList) -> None:
    """Negative numbers, and one image with two labels."""
    seen: dict[str, Line] = {}
    for line in images.lines:
        if images.numbered and int(line.label) < 0:
            raise DataError(f"{images.at(line)}: label {line.label} is out of range: expected 0 or more.")
        before = seen.setdefault(os.path.normpath(line.path), line)
        if before.label != line.label:
            raise DataError(
                f"{images.at(before)} and line {line.number} give one image two labels, {before.label} and "
                f"{line.label}: expected one."
            )


def _folder_of_label(images: ImageList) -> dict[str, str] | None:
    """The folder of each label, if folders tell the classes; None if they do not, or nothing is labelled.

    Raises:
      DataError: folders tell the classes, but for a few lines that clash with the others.
    """
    if not images.labelled:
        return None
    pairs = collections.Counter((line.label, line.folder) for line in images.lines)
    if len(pairs) > 1 and len({folder for _, folder in pairs}) == 1:
        return None  # All images in one folder.
    one_to_one: dict[str, str] = {}
    taken = {""}
    for (label, folder), _ in pairs.most_common():
        if label not in one_to_one and folder not in taken:
            one_to_one[label] = folder
            taken.add(folder)
    clashing = len(images.lines) - sum(pairs[pair] for pair in one_to_one.items())
    if not one_to_one or 2 * clashing >= len(images.lines) or clashing > max(_CLASHES, _SHARE * len(images.lines)):
        return None
    for line in images.lines:
        if one_to_one.get(line.label) == line.folder:
            continue
        other = next(
            other
            for other in images.lines
            if other is not line
            and (other.folder == line.folder) != (other.label == line.label)
            and one_to_one.get(other.label) == other.folder
        )
        raise DataError(
            f"{images.at(line)} clashes with line {other.number} ('{shown(other.path)} {other.label}'): expected one "
            "label for each folder and one folder for each label."
        )
    return one_to_one


def _domain(list_path: str, paths: list[str], classes: list[str | None], names: tuple[str, ...]) -> Domain:
    """Sorted, so that the same images are the same domain in whatever order they are listed."""
    label_of = {name: label for label, name in enumerate(names)}
    labels = [UNLABELLED if name is None else label_of[name] for name in classes]
    order = sorted(range(len(paths)), key=lambda i: (labels[i], paths[i]))
    return Domain(
        plain_name(list_path), FileRecords([paths[i] for i in order]), np.asarray([labels[i] for i in order], np.int32)
    )
