"""Own data in two lists: `path label` a line, labels as numbers or as words."""

from __future__ import annotations

import collections
import csv
import dataclasses
import functools
import itertools
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence

from gsda_tf.data.classes import Brought, class_name, class_written, labelled, labels_of, listed, own_task
from gsda_tf.data.domain import TaskData
from gsda_tf.data.image_files import SUFFIXES, UNREAD_SUFFIXES, on_a_path_left_behind
from gsda_tf.data.records import FileRecords
from gsda_tf.errors import DataError, UserError, shown
from gsda_tf.files import read_regular
from gsda_tf.settings import DataSettings, several

_EXPECTED = "expected 'path label' a line, or a table with a header that names the columns path and label"
_CLASHES, _SHARE = 2, 0.1
"""Folders are taken for classes if labels and folders go together but for this many lines, or this share of them."""
_MOST_BYTES, _MOST_IN_LINE = 2**30, 2**16
_ENDINGS = "|".join(re.escape(suffix) for suffix in (*SUFFIXES, *UNREAD_SUFFIXES))
# The path reaches to the last ending of an image that a gap follows; the label is the rest, and may hold spaces.
_LINE = re.compile(rf"(?P<path>.*(?:{_ENDINGS}))(?P<gap>\s*[,;\t]\s*|[ \t]+|$)(?P<label>.*)", re.IGNORECASE)
_IMAGE = re.compile(rf".*(?:{_ENDINGS})", re.IGNORECASE)
_PATH_COLUMNS = ("path", "file", "filename", "image", "img", "imagepath", "filepath", "imagefile", "imagename", "name")
_NUMBER = re.compile(r"[+-]?[0-9]+")
_LABEL_COLUMNS = ("label", "class", "category", "target", "y", "classname", "labelname", "classid", "labelid")


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a list: its number from 1 on, the path as written, the label, None if there is none, and what a
    column called `use` says."""

    number: int
    path: str
    label: str | None
    use: str | None = None

    @property
    def folder(self) -> str:
        """The name of the folder that the image lies in; in published data sets, its class."""
        return class_name(os.path.basename(os.path.dirname(self.path)))

    def __str__(self) -> str:
        return shown(self.path) if self.label is None else f"{shown(self.path)} {shown(self.label)}"


@dataclasses.dataclass(frozen=True)
class ImageList:
    """A list file.

    Attributes:
      path: of the file.
      lines: those that are not blank, in order.
      remarks: on lines that are passed over.
    """

    path: str
    lines: tuple[Line, ...]
    remarks: tuple[str, ...] = ()

    @functools.cached_property
    def known(self) -> list[Line]:
        """The lines with a label."""
        return [line for line in self.lines if line.label is not None]

    @functools.cached_property
    def numbered(self) -> bool:
        """True if there are labels, and all are whole numbers."""
        return bool(self.known) and all(_NUMBER.fullmatch(line.label) for line in self.known)

    @property
    def labels(self) -> list[str]:
        """Those that occur, in order."""
        return sorted({line.label for line in self.known}, key=int if self.numbered else None)

    def at(self, line: Line) -> str:
        """Returns what a message calls a line."""
        return f"{shown(self.path)} line {line.number} ('{line}')"


def load(settings: DataSettings) -> TaskData:
    """The task of `--pipeline=lists`.

    Args:
      settings: `source_list`, `target_list`, `image_root`, `source_root`, `target_root` and `list_labels`.

    Returns:
      Classes in the order of the source's numbers, or of their names; images in the order of class and path.

    Raises:
      UserError: a flag is missing.
      DataError: the lists are not as expected, or disagree.
    """
    for flag in ("source_list", "target_list"):
        if not getattr(settings, flag):
            raise UserError(f"--pipeline=lists needs --{flag}=FILE with 'path label' a line.")
    places, target = several(settings.source_list), read_list(settings.target_list)
    sources = [read_list(place) for place in places]
    roots = [settings.source_root or settings.image_root] * len(sources)
    *paths, target_paths = map(find_images, (*sources, target), (*roots, settings.target_root or settings.image_root))
    source = sources[0] if len(sources) == 1 else _joined(settings.source_list, sources, paths)
    remarks = [*source.remarks, *target.remarks]
    check_labels(source)
    told = {} if settings.list_labels == "numbers" else _folder_of_label(source, remarks)
    names = {label: told.get(label, label) for label in source.labels}
    brought = labelled(_brought(sources, paths, names))
    target_names = _target_names(target, shown(source.path), names, remarks, settings.list_labels != "numbers")
    others = _brought([target], [target_paths], target_names)
    return own_task("lists", brought, others, tuple(names.values()), settings, remarks)


def _joined(given: str, sources: Sequence[ImageList], paths: Sequence[Sequence[str]]) -> ImageList:
    """Several lists as one, of whole paths.

    Raises:
      DataError: they do not mean the same classes by the same labels, as far as names and folders tell.
    """
    told = {pair for each in sources for pair in _folder_of_label(each, []).items()}
    if len(dict(told)) < len(told) or len({each.numbered for each in sources}) > 1:
        raise DataError(
            f"The lists of --source_list={shown(given)} number folders differently, or have numbers and words as "
            "labels: label all of them alike."
        )
    lines = [
        dataclasses.replace(line, path=path) for each, own in zip(sources, paths) for line, path in zip(each.lines, own)
    ]
    return ImageList(given, tuple(lines), tuple(remark for each in sources for remark in each.remarks))


def read_list(path: str) -> ImageList:
    """Reads a list file: UTF-8 with or without a byte-order mark, or UTF-16; any line ends.

    Raises:
      DataError: it cannot be read, is empty, or has lines that are not `path label`.
    """
    try:
        data = read_regular(path, _MOST_BYTES)
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

    A line is a path that ends as images do, a gap (spaces, a tab, a comma or a semicolon) and the label, which may hold
    spaces. A line without a label, or with the label -1, has none. Behind a comma, semicolon or tab the label ends at
    the next; further columns are passed over. A table with a header is read by its columns.

    Args:
      path: what messages call the list.
      text: of the file.

    Raises:
      DataError: no lines, or a line that has no path.
    """
    raw = [(number, line.strip(" \t")) for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1)]
    raw = [(number, line) for number, line in raw if line]
    if raw and re.fullmatch("sep=.", raw[0][1]):  # a word of spreadsheets to one another
        raw = raw[1:]
    for number, line in raw:
        if "\0" in line or len(line) > _MOST_IN_LINE:
            raise DataError(f"List {shown(path)} line {number} is no text: {_EXPECTED}.")
    lines, remarks = _lines(path, raw) if raw else ([], [])
    passed = [line for line in lines if on_a_path_left_behind(line.path)]
    if passed:
        remarks.append(
            f"{len(passed):,} lines of {shown(path)} name what systems leave behind, as line {passed[0].number} "
            f"({shown(passed[0].path)}): passed over."
        )
        lines = [line for line in lines if not on_a_path_left_behind(line.path)]
    if not lines:
        raise DataError(f"List {shown(path)} is empty: {_EXPECTED}. {' '.join(remarks)}")
    return ImageList(path, tuple(lines), tuple(remarks))


def _lines(path: str, raw: Sequence[tuple[int, str]]) -> tuple[list[Line], list[str]]:
    """Path and label of each line that is not blank, (number, text), and remarks on columns that are not read."""
    first = raw[0][1]
    separator = max(",\t;", key=first.count)
    headed = separator in first and not _IMAGE.search(first)
    quoted = separator in first and path.lower().endswith(".csv") and any('"' in line for _, line in raw)
    if headed or quoted:
        cells = [[*map(str.strip, next(csv.reader([line], delimiter=separator)))] for _, line in raw]
    else:
        cells = [_cells(path, *each) for each in raw]
    rows = [(number, [*row, ""]) for (number, _), row in zip(raw, cells)]
    of_path, of_label, of_use = _named_columns(path, cells[0]) if headed else (0, 1, None)
    more = next((number for number, row in rows if any(row[2:])), None)
    other = next((number for number, row in rows if len(row) != len(rows[0][1])), None)
    if other is not None and (headed or more is not None):
        said = f"line {raw[0][0]} has {len(cells[0])} columns, and line {other} has others"
        raise DataError(f"List {shown(path)} {said}: {_EXPECTED}.")
    lines = []
    for number, row in rows[headed:]:
        use = None if of_use is None else row[of_use]
        lines.append(Line(number, row[of_path], class_written(row[of_label]), use))
    said = f"Columns from the third on are not read in {shown(path)}, as in line {more}: the second is the label."
    return lines, [said] if more is not None and not headed else []


def _cells(path: str, number: int, line: str) -> list[str]:
    """A line without a header: the path, the label if there is one, and what else stands behind separators."""
    found = _LINE.fullmatch(line)
    # A path without an ending: its label is the last word.
    parts = found.group("path", "label") if found else re.split(r"[ \t]+(?=[^ \t]+$)", line)
    wrong = "is no path of an image" if len(parts) != 2 else ""
    if not wrong and re.fullmatch(r"[-+.\d]+([\s,;]+[-+.\d]+)+", parts[1].strip()):
        wrong = "has several numbers after the path"
    if wrong:
        raise DataError(f"List {shown(path)} line {number} ({shown(line)!r}) {wrong}: {_EXPECTED}.")
    separator = found["gap"].strip(" ") if found else ""
    return [parts[0], *(cell.strip() for cell in (parts[1].split(separator) if separator else parts[1:]))]


def _named_columns(path: str, head: Sequence[str]) -> list[int | None]:
    """Where paths, labels and uses stand in a table with a header; there may be none of the last."""
    plain = [re.sub(r"[^a-z]", "", cell.lower()) for cell in head]
    kinds = (_PATH_COLUMNS, _LABEL_COLUMNS, ("use",))
    found = [next((plain.index(n) for n in known if n in plain), None) for known in kinds]
    if None in found[:2]:
        raise DataError(f"List {shown(path)} begins with the columns {', '.join(map(shown, head))}: {_EXPECTED}.")
    return found


def find_images(images: ImageList, image_root: str) -> list[str]:
    """The path of each line's file.

    Args:
      images: a list.
      image_root: what its paths are relative to; "" is the list's own folder.

    Raises:
      DataError: a path leads out of the root, or files are not there.
    """
    root = os.path.abspath(image_root or os.path.dirname(images.path) or ".")
    paths = [written_path(root, line.path) for line in images.lines]
    missing = []
    for line, path in zip(images.lines, paths):
        if not path.startswith(root.rstrip(os.sep) + os.sep):
            raise DataError(
                f"{images.at(line)} leads out of {shown(root)}: expected a path below it. --image_root says what paths "
                "are relative to, --image_root=/ takes whole paths as they are; use it for lists that you trust."
            )
        if not os.path.lexists(path):
            missing.append(f"line {line.number} ({shown(line.path)})")
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(paths)} files of {shown(images.path)} are not there under {shown(root)}: "
            f"{listed(missing)}. Mend the list, or say with --image_root what its paths are relative to."
        )
    return paths


def written_path(root: str, written: str) -> str:
    """The path of a file below `root`, which may be written otherwise there: not for Windows, or its accents."""
    plain = written.replace("\\", "/")
    names = (written, plain, *(unicodedata.normalize(form, plain) for form in ("NFC", "NFD")))
    paths = (os.path.normpath(os.path.join(root, name)) for name in dict.fromkeys(names))
    return next(filter(os.path.lexists, paths), os.path.normpath(os.path.join(root, written)))


def classes_of(images: ImageList, class_names: Sequence[str]) -> list[str | None]:
    """Returns the class of each line, as a model calls it whose classes may be numbered in their order; None if it has
    none.

    Raises:
      DataError: an image has two labels, or a label is none of the model's.
    """
    names = {str(number): name for number, name in enumerate(class_names)}
    if set(images.labels) <= set(class_names):
        names = {name: name for name in class_names}
    named = _target_names(images, "the model", names, [])
    classes = [named.get(line.label) for line in images.lines]
    labels_of(classes, class_names, lambda i: images.at(images.lines[i]))
    return classes


def _target_names(
    target: ImageList, source: str, names: Mapping[str, str], remarks: list[str], by_folder: bool = True
) -> Mapping[str, str]:
    """The class of each label of a target's list.

    Words are final, and so are numbers, which mean the same in both lists; but for numbers that contradict each other
    about the same folders, as those of published lists do, or whose source has words.

    Args:
      target: the list.
      source: what a message calls where the names are from.
      names: of the classes, by the labels of the source.
      remarks: grows.
      by_folder: whether folders decide in these two cases.

    Raises:
      DataError: an image has two labels.
    """
    check_labels(target)
    if not target.numbered:
        return {label: label for label in target.labels}
    of_number = {int(number): name for number, name in names.items() if _NUMBER.fullmatch(number)}
    by_number = {label: of_number.get(int(label), label) for label in target.labels}
    told = _folder_of_label(target, remarks) if by_folder else {}
    wrong = next((label for label in told if told[label] != by_number[label]), None)
    if wrong is None or not set(told.values()) <= set(names.values()):
        return by_number
    if of_number:
        remarks.append(
            f"{shown(target.path)} numbers the same folders otherwise than {source} ({wrong} is {by_number[wrong]} "
            f"there and {told[wrong]} here), as published lists do: the names of the folders count. If they are no "
            "classes, give --list_labels=numbers."
        )
    return told


def check_labels(images: ImageList) -> None:
    """Raises DataError for negative numbers, and one image with two labels."""
    seen: dict[str, Line] = {}
    for line in images.known:
        if images.numbered and int(line.label) < 0:
            raise DataError(f"{images.at(line)}: label {line.label} is out of range: expected 0 or more.")
        before = seen.setdefault(unicodedata.normalize("NFC", os.path.normpath(line.path)), line)
        if before.label != line.label:
            raise DataError(
                f"{images.at(before)} and line {line.number} give one image two labels, {shown(before.label)} and "
                f"{shown(line.label)}: expected one."
            )


def _folder_of_label(images: ImageList, remarks: list[str]) -> dict[str, str]:
    """The folder of each label, if folders tell the classes; {} if they do not, or labels are words.

    Lines that clash with the others are remarked upon.
    """
    told: dict[str, str] = {}
    for (label, folder), _ in collections.Counter((line.label, line.folder) for line in images.known).most_common():
        if label not in told and folder not in ("", *told.values()):
            told[label] = folder
    clashing = [line for line in images.known if told.get(line.label) != line.folder]
    if not images.numbered or len(told) < len(images.labels):
        return {}
    if len(clashing) > max(_CLASHES, _SHARE * len(images.known)) or 2 * len(clashing) >= len(images.known):
        return {}
    if clashing:
        remarks.append(
            f"{len(clashing)} of the {len(images.known):,} lines of {shown(images.path)} have another label than the "
            f"rest of their folder, as line {clashing[0].number} ('{clashing[0]}'): the label counts."
        )
    return told


def _brought(lists: Sequence[ImageList], paths: Sequence[Sequence[str]], names: Mapping[str, str | None]) -> Brought:
    """The images of some lists together, those of each in the order of their paths; `names` are those of its labels."""
    rows = []
    for images, own in zip(lists, paths):
        rows += sorted(zip(own, images.lines, itertools.repeat(images)), key=lambda row: row[0])
    paths, lines, of = zip(*rows)
    places, counts = zip(*((each.path, len(each.lines)) for each in lists))
    classes = [names.get(line.label) for line in lines]
    return Brought(places, counts, FileRecords(paths), classes, lambda i: of[i].at(lines[i]))
