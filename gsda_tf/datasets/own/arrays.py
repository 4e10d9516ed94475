"""Own data as arrays in two files: images, or features of any model, and their labels (`--pipeline=arrays`).

A file is somebody else's: nothing in it is run, and no size in it is believed before it is checked.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gsda_tf.data.classes import check_classes, lacking, plain_name
from gsda_tf.data.domain import UNLABELLED, Domain, TaskData
from gsda_tf.data.features import FeatureRecords
from gsda_tf.data.records import ArrayRecords
from gsda_tf.errors import DataError, UserError, shown
from gsda_tf.settings import DataSettings

_UNREADABLE = (OSError, ValueError, EOFError, KeyError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
NAMES = ("features", "images", "labels", "class_names")
_OF_IMAGES = (
    "extractor", "weights", "preprocessing", "freeze_backbone", "train_from", "feature_crops", "feature_dtype",
    "feature_cache_dir", "sync_batch_norm", "image_size", "resize_size", "augmentation", "cache", "on_bad_image",
    "precision",
)  # fmt: skip
"""Settings that say nothing where features stand in place of images."""
_EXPECTED = (
    "expected an .npz file with features (float [n, e]) or images (uint8 [n, height, width, 3] or [n, height, width]), "
    "labels [n] (numbers or names; may be missing in the target) and, if numbers have names, class_names; or a "
    ".parquet file with numbers in its columns and the labels in a column called label"
)


@dataclasses.dataclass(frozen=True)
class Arrays:
    """What a file holds.

    Attributes:
      path: of the file.
      values: float32 [n, e] or uint8 [n, h, w, 3].
      labels: names of the classes, one a row; None where unlabelled.
      class_names: in the order of the labels; () if it follows from the labels.
      columns: names of the features; () if they have none.
    """

    path: str
    values: np.ndarray
    labels: list[str | None]
    class_names: tuple[str, ...]
    columns: tuple[str, ...] = ()


def load_arrays(settings: DataSettings) -> TaskData:
    """The task of `--pipeline=arrays`.

    Args:
      settings: `source` and `target`, files.

    Returns:
      Domains of images, or of features that stand in place of images; classes in the order of class_names or, without
      them, of their numbers or names.

    Raises:
      UserError: a flag is missing.
      DataError: the files are not as expected, or do not fit together.
    """
    source, target = (_read(role, getattr(settings, role)) for role in ("source", "target"))
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
    if None in source.labels:
        raise DataError(f"--source={shown(source.path)} has no labels: {_EXPECTED}.")
    names = source.class_names or _ordered(source.labels)
    source_domain = _domain(source, names)
    remarks = check_classes(source_domain, names, f"--source={shown(source.path)}")
    return TaskData(
        name=f"arrays/{plain_name(source.path)}_{plain_name(target.path)}",
        source=source_domain,
        target=_domain(target, names),
        class_names=names,
        remarks=tuple(remarks),
    )


def prescribed(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that follow from what the source holds: none for images; for features, that there is no backbone.

    Args:
      given: values by setting name, only those that the user gave.

    Raises:
      UserError: see `load_arrays`; or a setting about images is given where there are none.
    """
    path = given.get("source", "")
    values = _read("source", path).values
    if values.ndim != 2:
        return {}
    for name in _OF_IMAGES:
        if name in given:
            raise UserError(
                f"--{name}={given[name]} is about images, but --source={shown(path)} holds features: leave it out."
            )
    return {
        "extractor": f"features:{values.shape[1]}", "weights": "none", "freeze_backbone": True, "augmentation": "none",
    }  # fmt: skip


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
        return _arrays(role, path, found.st_size, found.st_mtime_ns)
    except _UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0][:200]
        raise DataError(f"--{role}={shown(path)} cannot be read ({reason}): {_EXPECTED}.") from error


@functools.lru_cache(maxsize=2)  # a sweep asks about the same two files for every run
def _arrays(role: str, path: str, *stamp: int) -> Arrays:
    arrays = _parquet(path) if path.lower().endswith(".parquet") else _npz(path)
    kinds = [name for name in ("features", "images") if name in arrays]
    if len(kinds) != 1:
        raise DataError(f"--{role}={shown(path)} holds {', '.join(sorted(arrays)) or 'nothing'}: {_EXPECTED}.")
    values = _values(path, kinds[0], arrays[kinds[0]])
    names = tuple(str(name) for name in arrays["class_names"].reshape(-1)) if "class_names" in arrays else ()
    if len(set(names)) < len(names):
        raise DataError(f"--{role}={shown(path)} has a class name twice: expected each once.")
    labels = _labels(path, arrays.get("labels"), len(values), names)
    return Arrays(path, values, labels, names, tuple(arrays.get("columns", ())))


def _npz(path: str) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        _refuse_too_large(path, sum(info.file_size for info in archive.infolist()))
    with np.load(path, allow_pickle=False) as arrays:
        return {name: np.asarray(arrays[name]) for name in NAMES if name in arrays}


def _parquet(path: str) -> dict[str, np.ndarray]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UserError(
            f"--source or --target={shown(path)} needs pyarrow: install it, or save an .npz file."
        ) from error
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        columns = [group.column(i) for group in groups for i in range(group.num_columns)]
        numbers = sum(column.num_values * 8 for column in columns)
        _refuse_too_large(path, max(numbers, sum(column.total_uncompressed_size for column in columns)))
        table = file.read()
    names = [name for name in table.column_names if name != "label"]
    others = [n for n in names if not (pa.types.is_floating(table[n].type) or pa.types.is_integer(table[n].type))]
    if others or not names:
        raise ValueError(f"no column of numbers, or columns of something else: {others[:3]}")
    features = np.stack([table[name].to_numpy().astype(np.float32) for name in names], axis=1)
    arrays = {"features": features, "columns": np.asarray(names)}
    if "label" in table.column_names:
        values = table["label"].to_pylist()
        arrays["labels"] = np.asarray(["" if value is None else str(value) for value in values])
    return arrays


def _refuse_too_large(path: str, size: int) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory // 2:
        raise DataError(
            f"{shown(path)} unpacks to {size:,} bytes, more than half of this machine's memory: bring so many as image "
            "files, with --pipeline=folders or lists."
        )


def _values(path: str, kind: str, values: np.ndarray) -> np.ndarray:
    """float32 [n, e] or uint8 [n, h, w, 3]."""
    if kind == "images" and values.ndim == 3:
        values = values[..., None]
    dtypes, rank = ("f", 2) if kind == "features" else ("u", 4)
    if values.dtype.kind != dtypes or values.ndim != rank or not values.size or (rank == 4 and not _is_pixels(values)):
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


def _is_pixels(values: np.ndarray) -> bool:
    return values.dtype == np.uint8 and values.shape[-1] in (1, 3)


def _labels(path: str, labels: np.ndarray | None, size: int, names: tuple[str, ...]) -> list[str | None]:
    """Names of the classes; None where unlabelled: -1 or "", or all without an array of labels."""
    if labels is None:
        return [None] * size
    if labels.shape != (size,) or labels.dtype.kind not in "uiU":
        raise DataError(f"labels of {shown(path)} are {labels.dtype} {labels.shape}, of {size} rows: {_EXPECTED}.")
    if labels.dtype.kind == "U":
        named = [str(label) or None for label in labels]
    else:
        least, most = int(labels.min()), int(labels.max())
        if least < UNLABELLED or (names and most >= len(names)):
            raise DataError(
                f"labels of {shown(path)} go from {least} to {most}: expected numbers from 0"
                f"{f' to {len(names) - 1}' if names else ''}, or {UNLABELLED} where there is none."
            )
        named = [None if label == UNLABELLED else names[label] if names else str(label) for label in labels]
    unknown = next((name for name in named if names and name is not None and name not in names), None)
    if unknown is not None:
        raise DataError(f"labels of {shown(path)} name {unknown!r}, which is none of its class names.")
    if 0 < named.count(None) < size:
        raise DataError(f"{named.count(None)} of the {size} rows of {shown(path)} have no label: expected all or none.")
    return named


def _ordered(labels: Iterable[str]) -> tuple[str, ...]:
    names = set(labels)
    numbers = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))


def _domain(arrays: Arrays, names: tuple[str, ...]) -> Domain:
    label_of = {name: label for label, name in enumerate(names)}
    for row, name in enumerate(arrays.labels):
        if name is not None and name not in label_of:
            raise DataError(lacking(name, names, f"{shown(arrays.path)} row {row}"))
    labels = np.asarray([UNLABELLED if name is None else label_of[name] for name in arrays.labels], np.int32)
    where = os.path.basename(arrays.path)
    if arrays.values.ndim == 4:
        return Domain(plain_name(arrays.path), ArrayRecords(arrays.values, where), labels)
    return Domain(plain_name(arrays.path), FeatureRecords(arrays.values[:, None], where), labels)
