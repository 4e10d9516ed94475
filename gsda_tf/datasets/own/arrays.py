"""Own data as arrays in two files: images, or features of any model, and their labels (`--pipeline=arrays`).

A file is somebody else's: nothing in it is run, and no size in it is believed before it is checked.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from gsda_tf.data.classes import (
    NOTHING,
    class_name,
    from_places,
    labels_of,
    own_task,
    plain_name,
    refuse_alike,
)  # fmt: skip
from gsda_tf.data.domain import UNLABELLED, DomainData, TaskData
from gsda_tf.data.features import FeatureRecords
from gsda_tf.data.npz import MOST_BYTES, read_npz, refuse_large
from gsda_tf.data.records import ArrayRecords
from gsda_tf.errors import DataError, UserError, shown
from gsda_tf.files import open_regular
from gsda_tf.settings import DataSettings, several

NAMES = ("features", "images", "labels", "class_names")
_MOST_COLUMNS, _MOST_CHARACTERS = 2**14, 1000
_NO_FEATURE = re.compile(r"__index_level_\d+__|unnamed(: \d+)?|index|id|", re.IGNORECASE)
"""Columns that programs write unasked."""
_LABELS = ("label", "labels", "class", "category", "target", "classname", "labelname", "classid", "labelid")
_MISSING = ("", "nan", "<na>")
"""Words by which programs say that there is no label."""
_EXPECTED = (
    "expected an .npz file with features (float [n, e]) or images (uint8 [n, height, width, 3] or [n, height, width]), "
    "labels [n] (numbers or names; may be missing in the target) and, if numbers have names, class_names; or a "
    ".parquet file with numbers in its columns and the labels in a column called label"
)


@dataclasses.dataclass(frozen=True)
class Arrays:
    """The arrays of a file.

    Attributes:
      path: of the file.
      values: float32 [n, e] or uint8 [n, h, w, 3].
      labels: names of the classes, one a row; None where unlabelled.
      class_names: in the order of the labels; () if it follows from the labels.
      columns: names of the features; () if they have none.
      remarks: on what is passed over.
    """

    path: str
    values: np.ndarray
    labels: list[str | None]
    class_names: tuple[str, ...]
    columns: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


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
    if known:
        nothing = _domain(dataclasses.replace(target, path=NOTHING, values=target.values[:0], labels=[]), known)
        return own_task("arrays", nothing, _domain(target, known), known, "", target.remarks)
    for number, each in enumerate(sources):
        for other in (*sources[:number], target):
            _check_pair(each, other)
    refuse_alike([each.class_names or set(each.labels) for each in sources], paths)
    labels = [label for each in sources for label in each.labels]
    names = tuple(dict.fromkeys(name for each in sources for name in (*each.class_names, *_ordered(each.labels))))
    if not any(each.class_names for each in sources):
        names = _ordered(labels)
    source = dataclasses.replace(sources[0], labels=labels)
    if len(sources) > 1:
        source = dataclasses.replace(source, values=np.concatenate([each.values for each in sources]))
    numbers = np.repeat(np.arange(len(sources), dtype=np.int32), [len(each.labels) for each in sources])
    source_domain = from_places(_domain(source, names), paths, numbers)
    remarks = [remark for each in (*sources, target) for remark in each.remarks]
    return own_task(
        "arrays", source_domain, _domain(target, names), names, f"--source={shown(settings.source)}", remarks
    )


def _check_pair(source: Arrays, target: Arrays) -> None:
    """Raises DataError if a source and the target, or another source, do not fit together."""
    if os.path.samefile(source.path, target.path):
        raise DataError(f"--source and --target are both {shown(source.path)}: expected the files of two domains.")
    kinds = [
        f"{each.values.dtype} {each.values.shape[1:] if each.values.ndim == 2 else ''}" for each in (source, target)
    ]
    if kinds[0] != kinds[1] or source.columns != target.columns:
        differ = sorted(set(source.columns) ^ set(target.columns))[:3]
        raise DataError(
            f"A row of {shown(source.path)} is {kinds[0]}, of {shown(target.path)} {kinds[1]}"
            f"{f' ({differ} are in one only)' if differ else ''}: expected the same, in the same order."
        )
    if bare := source.labels.count(None):
        if bare == len(source.labels):
            raise DataError(f"--source={shown(source.path)} has no labels: {_EXPECTED}.")
        raise DataError(
            f"{bare} of the {len(source.labels)} rows of --source={shown(source.path)} have no label: expected all."
        )


def feature_units(path: str) -> int:
    """e of the features [n, e] that a source file holds; 0 if it holds images.

    Raises:
      UserError: see `load`.
    """
    values = _read("source", path).values
    return values.shape[1] if values.ndim == 2 else 0


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
    parquet = path.lower().endswith(".parquet")
    arrays, remarks = _parquet(path) if parquet else (read_npz(path, NAMES), ())
    kinds = [name for name in ("features", "images") if name in arrays]
    if len(kinds) != 1:
        raise DataError(f"--{role}={shown(path)} holds {', '.join(sorted(arrays)) or 'nothing'}: {_EXPECTED}.")
    values = _values(path, kinds[0], arrays[kinds[0]])
    names = tuple(map(class_name, arrays.get("class_names", np.zeros(0, "U1")).reshape(-1).astype(str).tolist()))
    if len(set(names)) < len(names):
        raise DataError(f"--{role}={shown(path)} has a class name twice: expected each once.")
    labels = _labels(path, arrays.get("labels"), len(values), names)
    return Arrays(path, values, labels, names, tuple(arrays.get("columns", ())), remarks)


def _parquet(path: str) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Arrays, and remarks on columns that are passed over."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UserError(
            f"--source or --target={shown(path)} needs pyarrow: install it, or save an .npz file."
        ) from error
    most = {"thrift_string_size_limit": _MOST_COLUMNS * 2**10, "thrift_container_size_limit": 2 * _MOST_COLUMNS}
    with open_regular(path, MOST_BYTES) as raw:
        file = pq.ParquetFile(raw, **most)
        schema, metadata = file.schema_arrow, file.metadata
        index = _index_of_pandas(schema)
        unnamed = [name for name in schema.names if name in index or _NO_FEATURE.fullmatch(name)]
        columns = [name for name in schema.names if name != "label" and name not in unnamed]
        types = {name: schema.field(name).type for name in columns}
        others = [name for name, t in types.items() if not (pa.types.is_floating(t) or pa.types.is_integer(t))]
        if len(schema.names) > _MOST_COLUMNS:
            raise ValueError(f"more than {_MOST_COLUMNS:,} columns")
        if others or not columns or len(set(schema.names)) < len(schema.names):
            raise ValueError(f"no column of numbers, columns of something else, or one name twice: {others[:3]}")
        labels = [name for name in columns if re.sub("[^a-z]", "", name.lower()) in _LABELS]
        if labels:
            raise DataError(
                f"The column {labels[0]!r} of {shown(path)} looks like a label, and would be a feature: call it label, "
                "or leave it out."
            )
        numbers = metadata.num_rows * (12 * len(columns) + 8)  # as they are read, and as float32
        refuse_large(path, numbers, os.path.getsize(path))
        chosen = [*columns, *(["label"] if "label" in schema.names else [])]
        if pa.types.is_nested(schema.field(chosen[-1]).type):
            raise ValueError("labels of several values each")
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        refuse_large(path, sum(group.total_byte_size for group in groups), os.path.getsize(path))
        # Read as a dictionary, a label takes its room once, however many rows have it.
        table = pq.ParquetFile(raw, read_dictionary=chosen[len(columns) :], **most).read(columns=chosen)
    features = np.empty((table.num_rows, len(columns)), np.float32)
    with np.errstate(over="ignore"):  # told of each row
        for i, name in enumerate(columns):
            features[:, i] = table[name].to_numpy()
    arrays = {"features": features, "columns": np.asarray(columns)}
    if "label" in table.column_names:
        arrays["labels"] = _label_column(path, table["label"])
    said = f"Not read in {shown(path)}, as no features by their names: {', '.join(map(repr, unnamed[:4]))}."
    return arrays, (said,) if unnamed else ()


def _index_of_pandas(schema: Any) -> list[str]:
    """The columns that were a table's index and not its content."""
    try:
        return [name for name in schema.pandas_metadata["index_columns"] if isinstance(name, str)]
    except (ValueError, KeyError, TypeError, RecursionError):  # there is none, or it is damaged
        return []


def _label_column(path: str, column: Any) -> np.ndarray:
    """Labels as they stand in a column of pyarrow; None where there is none."""
    column = column.combine_chunks()
    if not hasattr(column, "dictionary"):
        column = column.dictionary_encode()
    names = column.dictionary
    if len(names) and hasattr(names, "nbytes") and names.nbytes > _MOST_CHARACTERS * len(names):
        raise DataError(f"labels of {shown(path)} have more than {_MOST_CHARACTERS:,} characters: expected names.")
    values = np.asarray([*names.to_pylist(), None], object)
    return values[column.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)]


def _values(path: str, kind: str, values: np.ndarray) -> np.ndarray:
    """float32 [n, e] or uint8 [n, h, w, 3]."""
    if kind == "images" and values.ndim == 3:
        values = values[..., None]
    dtypes, rank = ("f", 2) if kind == "features" else ("u", 4)
    pixels = values.dtype == np.uint8 and values.shape[-1] in (1, 3)
    if values.dtype.kind != dtypes or values.ndim != rank or not values.size or (rank == 4 and not pixels):
        raise DataError(f"{kind} of {shown(path)} are {values.dtype} {values.shape}: {_EXPECTED}.")
    if rank == 4:
        return np.repeat(values, 3, axis=-1) if values.shape[-1] == 1 else values
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(values, np.float32)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise DataError(
            f"{len(bad)} of {len(values)} rows of {shown(path)} have a feature that is no finite float32 number, the "
            f"first is row {bad[0]}: mend or remove them."
        )
    return values


def plain_labels(labels: Any) -> np.ndarray:
    """Labels of whatever kind as numbers or text, one a row.

    Args:
      labels: [n] or [n, 1] of numbers, text, bytes, bools or Python's objects, a pandas Series or Categorical; or
        one-hot [n, r].

    Returns:
      int64 [n], -1 where there is none, or text [n], "" where there is none (None, NaN).

    Raises:
      ValueError: they are something else, in a sentence.
    """
    labels = np.asarray(labels) if hasattr(labels, "dtype") else np.asarray(list(labels), object)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype == object:
        labels = np.asarray(labels.tolist())
    if labels.ndim == 2 and labels.dtype.kind in "biuf":
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise ValueError(
                f"labels are {labels.dtype} {labels.shape} and not one-hot: expected one class a row, such as "
                "labels.argmax(axis=1) of probabilities"
            )
        return labels.argmax(axis=1)
    if labels.ndim != 1:
        raise ValueError(f"labels are {labels.dtype} {labels.shape}: expected one a row")
    if labels.dtype.kind in "biu":
        return labels.astype(np.int64)
    rows = [_label(row, value) for row, value in enumerate(labels.tolist())]
    if any(isinstance(row, str) for row in rows):
        return np.asarray(["" if row is None else str(row) for row in rows])
    return np.asarray([UNLABELLED if row is None else row for row in rows], np.int64)


def _label(row: int, value: Any) -> int | str | None:
    """One label as a number or text; None where there is none."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return None
    if isinstance(value, str):
        if len(value) > _MOST_CHARACTERS:
            raise ValueError(f"the label of row {row} has {len(value):,} characters: expected a name")
        return None if value.casefold() in _MISSING else class_name(value)
    try:
        whole = float(value).is_integer()
    except (TypeError, ValueError) as error:
        raise ValueError(f"the label of row {row} is a {type(value).__name__}: expected a number or a name") from error
    if not whole:
        raise ValueError(f"the label of row {row} is {value}: expected classes, as whole numbers or names")
    return int(value)


def _labels(path: str, labels: np.ndarray | None, size: int, names: tuple[str, ...]) -> list[str | None]:
    """Names of the classes; None where unlabelled: -1 or "", or all without an array of labels."""
    if labels is None:
        return [None] * size
    try:
        plain = plain_labels(labels)
    except ValueError as error:
        raise DataError(f"In {shown(path)}, {error}; {_EXPECTED}.") from error
    if plain.shape != (size,):
        raise DataError(f"labels of {shown(path)} are {labels.dtype} {labels.shape}, of {size} rows: {_EXPECTED}.")
    if plain.dtype.kind == "U":
        named = [str(label) or None for label in plain]
    else:
        least, most = plain.min(), plain.max()
        if least < UNLABELLED or (names and most >= len(names)):
            raise DataError(
                f"labels of {shown(path)} go from {least} to {most}: expected numbers from 0"
                f"{f' to {len(names) - 1}' if names else ''}, or {UNLABELLED} where there is none."
            )
        named = [None if label == UNLABELLED else names[label] if names else str(label) for label in plain]
    return named


def _ordered(labels: Iterable[str]) -> tuple[str, ...]:
    names = set(labels)
    numbers = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))


def _domain(arrays: Arrays, names: tuple[str, ...]) -> DomainData:
    labels = labels_of(arrays.labels, names, lambda row: f"{shown(arrays.path)} row {row}")
    where, values = os.path.basename(arrays.path), arrays.values
    records = ArrayRecords(values, where) if values.ndim == 4 else FeatureRecords(values[:, None], where)
    return DomainData(plain_name(arrays.path), records, labels)
