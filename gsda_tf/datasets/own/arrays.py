"""Own data as arrays in two files: images, or features of any model, and their labels (`--pipeline=arrays`).

A file is somebody else's: nothing in it is run, and no size in it is believed before it is checked.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gsda_tf.data.classes import NOTHING, Brought, class_name, class_written, labelled, own_task
from gsda_tf.data.domain import UNLABELLED, TaskData
from gsda_tf.data.features import FeatureRecords
from gsda_tf.data.npz import read_npz
from gsda_tf.data.plain_arrays import features_of, images_of
from gsda_tf.data.records import ArrayRecords
from gsda_tf.errors import DataError, UserError, shown
from gsda_tf.settings import DataSettings, several

NAMES = ("features", "images", "labels", "class_names")
_MOST_CHARACTERS = 1000
_EXPECTED = (
    "expected an .npz file with features [n, e] or images [n, height, width, 3] or [n, height, width], labels [n] "
    "(numbers or names; may be missing in the target) and, if numbers have names, class_names"
)


@dataclasses.dataclass(frozen=True)
class Arrays:
    """The arrays of a file.

    Attributes:
      path: of the file.
      values: float32 [n, e] or uint8 [n, h, w, 3].
      labels: names of the classes, one a row; None where unlabelled.
      class_names: in the order of the labels; () if it follows from the labels.
    """

    path: str
    values: np.ndarray
    labels: list[str | None]
    class_names: tuple[str, ...]


def load(settings: DataSettings, known: tuple[str, ...] = ()) -> TaskData:
    """The task of `--pipeline=arrays`.

    Args:
      settings: `source` and `target`, files.
      known: classes of the run that is adapted without a source, which then is empty; () with one.

    Returns:
      Domains of images, or of features that stand in place of images; classes in the order of class_names or, without
      them, of their numbers or names.

    Raises:
      UserError: a flag is missing.
      DataError: the files are not as expected, or do not fit together.
    """
    paths = () if known else several(settings.source)
    sources, target = [_read("source", path) for path in paths], _read("target", settings.target)
    kinds = [
        f"{each.values.dtype} {each.values.shape[1:] if each.values.ndim == 2 else ''}" for each in (*sources, target)
    ]
    for each, kind in zip(sources, kinds):
        if kind != kinds[-1]:
            raise DataError(
                f"A row of {shown(each.path)} is {kind}, of {shown(target.path)} {kinds[-1]}: expected the same."
            )
    values = [each.values for each in sources] or [target.values[:0]]
    source = labelled(_brought(sources, np.concatenate(values) if len(sources) > 1 else values[0]))
    names = tuple(dict.fromkeys(name for each in sources for name in (*each.class_names, *_ordered(each.labels))))
    if not any(each.class_names for each in sources):
        names = known or _ordered(names)
    elif not target.class_names:  # its numbers count in the source's names
        at = {str(number): name for number, name in enumerate(names)}
        target = dataclasses.replace(target, labels=[x if x in names else at.get(x, x) for x in target.labels])
    return own_task("arrays", source, _brought([target], target.values), names, settings, by_class=False)


def feature_units(path: str) -> int:
    """e of the features [n, e] that a source file holds; 0 if it holds images.

    Raises:
      UserError: see `load`.
    """
    values = _read("source", path).values
    return values.shape[1] if values.ndim == 2 else 0


def class_count(path: str) -> int:
    """How many classes a source file names.

    Raises:
      UserError: see `load`.
    """
    found = _read("source", path)
    return len({*found.class_names, *found.labels} - {None})


def _read(role: str, path: str) -> Arrays:
    """Reads a file.

    Raises:
      UserError: it is not named.
      DataError: it is not as expected.
    """
    if not path:
        raise UserError(f"--pipeline=arrays needs --{role}=FILE: {_EXPECTED}.")
    try:
        found = os.stat(path)
        return _arrays(role, path, found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), "")[:200]
        raise DataError(f"--{role}={shown(path)} cannot be read ({reason}): {_EXPECTED}.") from error


@functools.lru_cache(maxsize=4)  # a sweep asks about the same two files for every run
def _arrays(role: str, path: str, *stamp: int) -> Arrays:
    arrays = read_npz(path, NAMES)
    kinds = [name for name in ("features", "images") if name in arrays]
    if len(kinds) != 1:
        raise DataError(f"--{role}={shown(path)} holds {', '.join(sorted(arrays)) or 'nothing'}: {_EXPECTED}.")
    given = arrays[kinds[0]]
    if kinds == ["images"] and given.ndim == 3:  # grey ones; never one alone
        given = given[..., None]
    try:
        values, finite = features_of(given) if kinds == ["features"] else images_of(given)
    except DataError as error:
        raise DataError(f"Of --{role}={shown(path)}, {error}") from error
    bad = np.flatnonzero(~finite)
    if len(bad):
        raise DataError(
            f"{len(bad)} of {len(values)} rows of {shown(path)} have a value that is no finite float32 number, the "
            f"first is row {bad[0]}: mend or remove them."
        )
    names = tuple(map(class_name, arrays.get("class_names", np.zeros(0, "U1")).reshape(-1).astype(str).tolist()))
    labels = label_names(arrays["labels"], len(values), names) if "labels" in arrays else [None] * len(values)
    return Arrays(path, values, labels, names)


def label_names(labels: Any, size: int, names: Sequence[str] = ()) -> list[str | None]:
    """Names of the classes of rows.

    Args:
      labels: [n] or [n, 1] of numbers, text, bytes, bools or Python's objects, a pandas Series or Categorical; or
        one-hot [n, r].
      size: n.
      names: of labels that are numbers; none where these are the names.

    Returns:
      n names, None where there is no label (-1, None, NaN, "").

    Raises:
      ValueError: labels are something else, in a sentence.
    """
    if hasattr(labels, "to_numpy"):  # of pandas
        labels = labels.to_numpy()
    if isinstance(labels, np.ma.MaskedArray):
        labels = np.where(np.ma.getmaskarray(labels), None, labels.data)
    if not hasattr(labels, "dtype") and (isinstance(labels, str) or not isinstance(labels, Iterable)):
        raise ValueError(f"labels are {labels!r:.50}: expected one a row")
    rows = np.asarray(labels) if hasattr(labels, "dtype") else np.asarray(list(labels), object)
    if rows.ndim == 2 and rows.shape[1] > 1:
        wide = np.asarray(rows.tolist())
        if wide.dtype.kind not in "biuf" or not (np.isin(wide, (0, 1)).all() and (wide.sum(axis=1) == 1).all()):
            raise ValueError(
                f"labels are {wide.dtype} {wide.shape} and not one-hot: expected one class a row, such as "
                "labels.argmax(axis=1) of probabilities"
            )
        rows = wide.argmax(axis=1)
    if rows.size != len(rows) or len(rows) != size:
        raise ValueError(f"there are {size} rows and labels of {rows.shape}: expected one a row")
    if len(set(names)) < len(names):
        raise ValueError("there is a class name twice: expected each once")
    return [_label(row, value, names) for row, value in enumerate(rows.reshape(-1).tolist())]


def _label(row: int, value: Any, names: Sequence[str]) -> str | None:
    """The name of the class of one row; None where there is no label."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return None
    if isinstance(value, str) and len(value) <= _MOST_CHARACTERS:
        return class_written(value.strip())
    try:
        known = not isinstance(value, str) and int(value) == value and UNLABELLED <= value < (len(names) or 2**63)
    except (TypeError, ValueError, OverflowError):
        known = False
    if not known:
        raise ValueError(
            f"the label of row {row} is {value!s:.50}: expected the name of a class, or its number from 0"
            f"{f' to {len(names) - 1}' if len(names) else ''}, or {UNLABELLED} where there is none"
        )
    if value == UNLABELLED:
        return None
    return names[int(value)] if len(names) else str(int(value))


def _ordered(labels: Iterable[str]) -> tuple[str, ...]:
    names = set(labels)
    numbers = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))


def _brought(arrays: Sequence[Arrays], values: np.ndarray) -> Brought:
    """The rows of some files together."""
    labels, paths = [label for each in arrays for label in each.labels], [each.path for each in arrays]
    where = os.path.basename(paths[0]) if paths else NOTHING
    records = ArrayRecords(values, where) if values.ndim == 4 else FeatureRecords(values, where)
    counts = [len(each.labels) for each in arrays]
    return Brought(paths, counts, records, labels, lambda row: f"{', '.join(map(shown, paths))} row {row}")
