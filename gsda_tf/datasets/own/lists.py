"""Own data in two lists: `path label` a line, labels as numbers or as words."""

from __future__ import annotations

import collections
import csv
import dataclasses
import os
import re
import unicodedata
from collections.abc import Sequence

from gsda_tf.data.classes import check_classes, labels_of, lacking, plain_name
from gsda_tf.data.domain import Domain, TaskData
from gsda_tf.data.image_files import SUFFIXES, UNREAD_SUFFIXES, on_a_path_left_behind
from gsda_tf.data.records import FileRecords
from gsda_tf.errors import DataError, UserError, shown
from gsda_tf.files import read_regular
from gsda_tf.settings import DataSettings

_CLASHES, _SHARE = 2, 0.1
"""Folders are taken for classes if labels and folders go together but for this many lines, or this share of them."""
_SHOWN = 3
_NO_LABEL = ("", "-1", "nan", "<na>")
_MOST_BYTES, _MOST_IN_LINE = 2**30, 2**16
_ENDINGS = "|".join(re.escape(suffix) for suffix in (*SUFFIXES, *UNREAD_SUFFIXES))
# The path reaches to the last ending of an image that a gap follows; the label is the rest, and may hold spaces.
_LINE = re.compile(rf"(?P<path>.*(?:{_ENDINGS}))(?P<gap>\s*[,;\t]\s*|[ \t]+|$)(?P<label>.*)", re.IGNORECASE)
_IMAGE = re.compile(rf".*(?:{_ENDINGS})", re.IGNORECASE)
_PATH_COLUMNS = ("path", "file", "filename", "image", "img", "imagepath", "filepath", "imagefile", "imagename", "name")
_USE_COLUMNS = ("use",)
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
        return _composed(os.path.basename(os.path.dirname(self.path)))

    def __str__(self) -> str:
        return shown(self.path) if self.label is None else f"{shown(self.path)} {shown(self.label)}"


@dataclasses.dataclass(frozen=True)
class ImageList:
    """A list file.

    Attributes:
      path: of the file.
      lines: those that are not blank, in order.
      labelled: whether a line has a label.
      numbered: whether all labels are whole numbers.
      remarks: on lines that are passed over.
    """

    path: str
    lines: tuple[Line, ...]
    labelled: bool
    numbered: bool
    remarks: tuple[str, ...] = ()

    def at(self, line: Line) -> str:
        """Returns what a message calls a line."""
        return f"{shown(self.path)} line {line.number} ('{line}')"

    @property
    def known(self) -> list[Line]:
        """The lines with a label."""
        return [line for line in self.lines if line.label is not None]

    @property
    def labels(self) -> list[str]:
        """Those that occur, in order."""
        return sorted({line.label for line in self.known}, key=int if self.numbered else None)


def load_lists(settings: DataSettings) -> TaskData:
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
    source, target = read_list(settings.source_list), read_list(settings.target_list)
    if bare := next((line for line in source.lines if line.label is None), None):
        raise DataError(f"{source.at(bare)} has no label: expected 'path label' on every line of the source.")
    roots = (settings.source_root or settings.image_root, settings.target_root or settings.image_root)
    paths = [find_images(each, root) for each, root in zip((source, target), roots)]
    if os.path.samefile(source.path, target.path) or set(paths[0]) == set(paths[1]):
        raise DataError(
            f"--source_list={shown(source.path)} and --target_list={shown(target.path)} list the same images: expected "
            "those of two domains."
        )
    classes, names, remarks = reconcile(source, target, settings.list_labels)
    domains = [_domain(each.path, *both, names) for each, both in zip((source, target), zip(paths, classes))]
    remarks = [*source.remarks, *target.remarks, *remarks]
    remarks += check_classes(domains[0], names, f"--source_list={shown(source.path)}")
    name = f"lists/{plain_name(source.path)}_{plain_name(target.path)}"
    return TaskData(name, domains[0], domains[1], names, remarks=tuple(remarks))


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
            what = "holds a zero byte" if "\0" in line else f"has {len(line):,} characters"
            raise DataError(f"List {shown(path)} line {number} {what}: expected text, 'path label' a line.")
    if not raw:
        raise DataError(f"List {shown(path)} is empty: expected 'path label' a line.")
    lines, remarks = _table(path, raw) or _first_two(path, [(n, _cells(path, n, line)) for n, line in raw])
    kept = [line for line in lines if not on_a_path_left_behind(line.path)]
    if len(kept) < len(lines):
        first = next(line for line in lines if on_a_path_left_behind(line.path))
        remarks.append(
            f"{len(lines) - len(kept):,} lines of {shown(path)} name what systems leave behind, as line {first.number} "
            f"({shown(first.path)}): passed over."
        )
    if not kept:
        raise DataError(f"List {shown(path)} names no images: {' '.join(remarks)}")
    lines = [dataclasses.replace(line, label=_label(line.label)) for line in kept]
    labels = [line.label for line in lines if line.label is not None]
    numbered = bool(labels) and all(re.fullmatch(r"[+-]?[0-9]+", label) for label in labels)
    return ImageList(path, tuple(lines), bool(labels), numbered, tuple(remarks))


def _label(label: str | None) -> str | None:
    return None if label is None or label.casefold() in _NO_LABEL else _composed(label)


def _composed(text: str) -> str:
    """An accent may be written in one character or in two: here, in one."""
    return unicodedata.normalize("NFC", text)


def _cells(path: str, number: int, line: str) -> list[str]:
    """A line without a header: the path, the label if there is one, and what else stands behind separators."""
    found = _LINE.fullmatch(line)
    # A path without an ending: its label is the last word.
    parts = found.group("path", "label") if found else re.split(r"[ \t]+(?=[^ \t]+$)", line)
    if len(parts) != 2:
        raise DataError(
            f"List {shown(path)} line {number} is {shown(line)!r}: expected 'path label', or the path of a "
            f"{', '.join(SUFFIXES)} file."
        )
    if re.fullmatch(r"[-+.\d]+([\s,;]+[-+.\d]+)+", parts[1].strip()):
        raise DataError(
            f"List {shown(path)} line {number} ('{shown(line)}') has several numbers after the path: expected one "
            "label, the class."
        )
    separator = found["gap"].strip(" ") if found else ""
    return [parts[0], *(cell.strip() for cell in (parts[1].split(separator) if separator else parts[1:]))]


def _first_two(path: str, rows: Sequence[tuple[int, list[str]]]) -> tuple[list[Line], list[str]]:
    """Path and label of lines without a header, and a remark if there is more in them."""
    lines = [Line(number, cells[0], cells[1] if len(cells) > 1 else None) for number, cells in rows]
    wide = next(((number, cells) for number, cells in rows if any(cells[2:])), None)
    if wide is None:
        return lines, []
    where = f"{shown(path)} line {wide[0]} ({', '.join(map(shown, wide[1]))!r})"
    other = next((number for number, cells in rows if len(cells) != len(wide[1])), None)
    if other is not None:
        raise DataError(
            f"List {where} has {len(wide[1])} columns, and line {other} has others: expected 'path,label' a line, or a "
            "header that names the columns."
        )
    return lines, [f"Columns from the third on are not read, as in {where}: the second is the label."]


def _table(path: str, raw: Sequence[tuple[int, str]]) -> tuple[list[Line], list[str]] | None:
    """The lines of a table with a header, or with quotes, and remarks; None if it is no such table."""
    numbers, lines = zip(*raw)
    separator = max(",\t;", key=lines[0].count)
    quoted = path.lower().endswith(".csv") and '"' in "".join(lines)
    if separator not in lines[0] or (_IMAGE.search(lines[0]) and not quoted):
        return None
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    except csv.Error as error:
        raise DataError(f"List {shown(path)} is no table that can be read: {error}.") from error
    header = [re.sub(r"[^a-z]", "", cell.lower()) for cell in rows[0]]
    if len(rows) != len(lines):
        raise DataError(f"List {shown(path)} is a table with line ends inside of its cells: expected one line a row.")
    kinds = (_PATH_COLUMNS, _LABEL_COLUMNS, _USE_COLUMNS)
    columns = [next((header.index(n) for n in known if n in header), None) for known in kinds]
    headed = not _IMAGE.search(lines[0])
    if headed and (columns[0] is None or columns[0] == columns[1] or (columns[1] is None and len(header) > 1)):
        raise DataError(
            f"List {shown(path)} begins with the columns {', '.join(map(shown, rows[0]))}: expected one called "
            f"{' or '.join(_PATH_COLUMNS[:4])} and one called {' or '.join(_LABEL_COLUMNS[:4])}, or no header and "
            "'path label' a line."
        )
    for number, row in zip(numbers, rows):
        if len(row) != len(rows[0]):
            raise DataError(
                f"List {shown(path)} line {number} has {len(row)} columns, line {numbers[0]} has {len(rows[0])}."
            )
    if not headed:
        return _first_two(path, list(zip(numbers, rows)))
    named = list(zip(numbers, rows))[1:]
    return [Line(number, *(None if place is None else row[place] for place in columns)) for number, row in named], []


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
        if not os.path.lexists(path):
            path = _otherwise(root, line.path) or path
        if not path.startswith(inside):
            whole = "--image_root=/ takes whole paths as they are" if os.path.isabs(line.path) else ""
            raise DataError(
                f"{images.at(line)} leads out of {shown(root)}: expected a path below it. "
                f"{whole or '--image_root says what paths are relative to'}; use it for lists that you trust."
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


def _otherwise(root: str, written: str) -> str | None:
    """The path of a file that is there under a name that is written otherwise: for Windows, or its accents."""
    plain = written.replace("\\", "/")
    for other in (plain, *(unicodedata.normalize(form, plain) for form in ("NFC", "NFD"))):
        path = os.path.normpath(os.path.join(root, other))
        if os.path.lexists(path):
            return path
    return None


def reconcile(
    source: ImageList, target: ImageList, list_labels: str = "auto"
) -> tuple[list[list[str | None]], tuple[str, ...], list[str]]:
    """Labels of both lists as names of classes.

    Labels are final. Where the folders of the source's images go with its numbers, they name its classes. Folders
    decide in two cases: one list has words and the other numbers; or the numbers of both lists contradict each other
    about the same folders, as those of published lists do, and `list_labels` does not say "numbers".

    Args:
      source: all labelled.
      target: the other list.
      list_labels: "auto"; "numbers" or "folders", which of them tells the target's classes.

    Returns:
      (names of the lines of source and target, names of the classes in the order of their labels, remarks).

    Raises:
      DataError: an image has two labels, or the target has a class that the source lacks.
    """
    remarks = []
    for each in (source, target):
        check_labels(each)
    folders = [_folder_of_label(each, remarks) for each in (source, target)]
    told, told_target = folders
    if list_labels == "numbers":
        told = None
    source_names = told if told and source.numbered else {label: label for label in source.labels}
    names = tuple(source_names[label] for label in source.labels)
    target_names = _target_names(source, target, source_names, told_target, list_labels, remarks)
    for line in target.known:
        if target_names.get(line.label) not in names:
            if target.numbered and source.numbered and list_labels != "folders":
                numbers = source.labels
                raise DataError(
                    f"{target.at(line)}: label {line.label} is out of range: {shown(source.path)} has "
                    f"{len(numbers)} labels from {numbers[0]} to {numbers[-1]}."
                )
            raise DataError(lacking(target_names.get(line.label, line.label), names, target.at(line)))
    classes = [
        [source_names[line.label] for line in source.lines],
        [None if line.label is None else target_names[line.label] for line in target.lines],
    ]
    return classes, names, remarks


def _target_names(
    source: ImageList,
    target: ImageList,
    source_names: dict[str, str],
    told: dict[str, str] | None,
    list_labels: str,
    remarks: list[str],
) -> dict[str, str]:
    """The class of each of the target's labels."""
    if not target.labelled:
        return {}
    if not target.numbered and (not source.numbered or set(target.labels) & set(source_names.values())):
        return {label: label for label in target.labels}
    if source.numbered != target.numbered:
        if not target.numbered or not told or not set(told.values()) <= set(source_names.values()):
            kinds = ("numbers", "words") if source.numbered else ("words", "numbers")
            raise DataError(
                f"{shown(source.path)} has {kinds[0]} as labels ({', '.join(source.labels[:_SHOWN])}), "
                f"{shown(target.path)} {kinds[1]} ({', '.join(map(shown, target.labels[:_SHOWN]))}), and the names of "
                "folders do not tell what they have in common: label both lists alike."
            )
        return told
    if list_labels == "folders":
        if not told:
            raise DataError(f"--list_labels=folders: the folders of {shown(target.path)} do not go with its labels.")
        return told
    # Numbers that the source lacks are told as such.
    by_number = {label: {int(n): name for n, name in source_names.items()}.get(int(label)) for label in target.labels}
    known = set(source_names.values())
    wrong = [label for label in told or () if told[label] != by_number[label]]
    if not wrong or not set(told.values()) <= known:
        return by_number
    example = f"{wrong[0]} is {by_number[wrong[0]] or 'none'} there and {told[wrong[0]]} here"
    remarks.append(
        f"{shown(target.path)} numbers the same folders otherwise than {shown(source.path)} ({example}), as published "
        "lists do: the names of the folders count. If they are no classes, give --list_labels=numbers."
    )
    return told


def check_labels(images: ImageList) -> None:
    """Raises DataError for negative numbers, and one image with two labels."""
    seen: dict[str, Line] = {}
    for line in images.known:
        if images.numbered and int(line.label) < 0:
            raise DataError(f"{images.at(line)}: label {line.label} is out of range: expected 0 or more.")
        before = seen.setdefault(_composed(os.path.normpath(line.path)), line)
        if before.label != line.label:
            raise DataError(
                f"{images.at(before)} and line {line.number} give one image two labels, {shown(before.label)} and "
                f"{shown(line.label)}: expected one."
            )


def _folder_of_label(images: ImageList, remarks: list[str]) -> dict[str, str] | None:
    """The folder of each label, if folders tell the classes; None if they do not, or labels are words.

    Lines that clash with the others are remarked upon.
    """
    if not images.labelled or not images.numbered:
        return None
    pairs = collections.Counter((line.label, line.folder) for line in images.known)
    if len(pairs) > 1 and len({folder for _, folder in pairs}) == 1:
        return None  # All images in one folder.
    one_to_one: dict[str, str] = {}
    taken = {""}
    for (label, folder), _ in pairs.most_common():
        if label not in one_to_one and folder not in taken:
            one_to_one[label] = folder
            taken.add(folder)
    clashing = [line for line in images.known if one_to_one.get(line.label) != line.folder]
    if len(one_to_one) < len(images.labels) or 2 * len(clashing) >= len(images.known):
        return None
    if len(clashing) > max(_CLASHES, _SHARE * len(images.known)):
        return None
    if clashing:
        remarks.append(
            f"{len(clashing)} of the {len(images.known):,} lines of {shown(images.path)} have another label than the "
            f"rest of their folder, as line {clashing[0].number} ('{clashing[0]}'): the label counts."
        )
    return one_to_one


def _domain(list_path: str, paths: list[str], classes: list[str | None], names: tuple[str, ...]) -> Domain:
    """Sorted, so that the same images are the same domain in whatever order they are listed."""
    labels = labels_of(classes, names)
    order = sorted(range(len(paths)), key=lambda i: (labels[i], paths[i]))
    return Domain(plain_name(list_path), FileRecords([paths[i] for i in order]), labels[order])
