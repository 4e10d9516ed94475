"""What people hand in from Python, as rows of one kind: arrays, tables, tensors, lists, pictures, paths, folders.

Rows to be asked about are read by `rows`; those to be trained on are kept in a file by `keep`.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gsda_tf.data import pipeline
from gsda_tf.data.domain import UNLABELLED
from gsda_tf.data.features import FeatureRecords
from gsda_tf.data.image_files import as_seen
from gsda_tf.data.plain_arrays import EXPECTED, features_of, images_of
from gsda_tf.data.records import ArrayRecords, FileRecords, Records
from gsda_tf.datasets.own.arrays import label_names
from gsda_tf.datasets.own.lists import written_path
from gsda_tf.errors import UserError
from gsda_tf.files import write_atomically
from gsda_tf.progress import progress
from gsda_tf.serving.predict import find_images

_EXPECTED = f"{EXPECTED}; or paths of image files"
KEPT = os.path.join("runs", "arrays")
"""Where what was handed in is kept."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of one kind.

    Attributes:
      kind: "paths", "images" or "features".
      values: paths; uint8 [n, h, w, 3], or a list of [h, w, 3] of several sizes; float32 [n, e].
      errors: why a row is none, by its place.
    """

    kind: str
    values: list[str] | list[np.ndarray] | np.ndarray
    errors: dict[int, str]

    def parts(self) -> Iterator[tuple[np.ndarray, Records]]:
        """Yields (places int64 [m], records) of the rows without an error, those together that are read together."""
        alike: dict[tuple[int, ...], list[int]] = {}
        for place, value in enumerate(self.values):
            if place not in self.errors:
                alike.setdefault(np.shape(value), []).append(place)
        for places in alike.values():
            chosen = [self.values[place] for place in places]
            if self.kind == "paths":
                records = FileRecords(chosen)
            elif self.kind == "features":
                records = FeatureRecords(np.stack(chosen), "row")
            else:
                records = ArrayRecords(np.stack(chosen), "image")
            yield np.asarray(places), records


def rows(values: Any, features: bool | None = None) -> Rows:
    """Takes what was handed in as it is meant.

    Args:
      values: images [n, h, w, 3], grey [n, h, w] or [n, h, w, 1], or with the channels first; a list of arrays or of
        Pillow's pictures, of several sizes too; or one image. Features [n, e], a table of numbers, a sparse matrix.
        Paths, or one of a file, folder, list or pattern. Tensors are what NumPy makes of them; of a tf.data set, labels
        are passed over.
      features: what is wanted of numbers: features, of which one row may stand alone, or images; None: two dimensions
        are features, more are images.

    Raises:
      UserError: it is none of these.
    """
    if _is_path(values):
        return Rows("paths", find_images(_path(values)), {})
    if isinstance(values, Mapping):
        raise UserError(f"A dict of {', '.join(map(repr, values)) or 'nothing'} was given: hand in one of its values.")
    if isinstance(values, tf.data.Dataset):
        values = of_dataset(values)[0]
    try:
        read = _read(values)
        if isinstance(read, np.ndarray) and read.dtype.kind in "OV":  # V: bfloat16
            read = read.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"A {type(values).__name__} cannot be read ({_first(str(error))}): {_EXPECTED}.") from error
    if len(read) == 0 or (isinstance(read, np.ndarray) and read.ndim == 0):
        raise UserError(f"A {type(values).__name__} without rows was given: {_EXPECTED}.")
    if isinstance(read, list) and any(map(_is_path, read)):
        if any(isinstance(each, bytes) and b"\0" in each for each in read):
            raise UserError(
                "Encoded images were given: decode them, as tf.io.decode_image does, or hand in their paths."
            )
        paths = [_path(each) if _is_path(each) else "" for each in read]
        errors = {i: f"no path but {each!r}" for i, each in enumerate(read) if not _is_path(each)}
        # Reading a pipe would never end.
        no_file = lambda path: "\0" in path or (os.path.exists(path) and not os.path.isfile(path))  # noqa: E731
        return Rows("paths", paths, {**{i: "no file" for i, path in enumerate(paths) if no_file(path)}, **errors})
    if isinstance(read, list) or not (read.ndim <= 2 if features is None else features):
        kind, (taken, finite) = "images", images_of(read)
    else:
        kind, (taken, finite) = "features", features_of(read[None] if features and read.ndim == 1 else read)
    return Rows(kind, taken, dict.fromkeys(np.flatnonzero(~finite).tolist(), "it has a value that is no finite number"))


def _first(message: str) -> str:
    return (message.splitlines() or [""])[0][:200]


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, bytes, os.PathLike))


def _path(value: str | bytes | os.PathLike) -> str:
    """A path, whose accents may be written otherwise on the disk."""
    path = os.path.expanduser(os.fsdecode(value))
    return path if os.path.lexists(path) or "://" in path else written_path("", path)


def _read(values: Any) -> np.ndarray | list:
    """An array; or a list, of paths or of arrays of several sizes."""
    if isinstance(values, np.ma.MaskedArray):
        values = values.astype(np.float64).filled(np.nan)
    if hasattr(values, "toarray"):  # sparse
        return values.toarray()
    if hasattr(values, "columns") and all(getattr(kind, "kind", "") in "biuf" for kind in values.dtypes):
        return values.to_numpy(np.float32, na_value=np.nan)
    if hasattr(values, "convert"):  # one of Pillow's pictures
        values = [values]
    if hasattr(values, "dtype") or hasattr(values, "columns"):
        array = np.asarray(values)
        if array.dtype.kind not in "OUS" or array.ndim == 0 or array.size > len(array):
            return array
        values = array.ravel().tolist()
    values = [_pixels(each) if hasattr(each, "convert") else each for each in values]
    if any(map(_is_path, values)):
        return values
    if len({np.shape(each) for each in values}) > 1:
        return [np.asarray(each) for each in values]
    array = np.asarray(values)
    # Of a list, each is one image: three grey ones are not the channels of one.
    return array[..., None] if array.ndim == 3 and hasattr(values[0], "dtype") else array


def _pixels(picture: Any) -> np.ndarray:
    """One of Pillow's pictures, as its file is seen; the range of some numbers nobody knows here."""
    return np.asarray(picture if picture.mode in ("I", "F") else as_seen(picture))


def keep(
    values: Any, labels: Any = None, class_names: Sequence[str] = (), folder: str = ""
) -> tuple[str, dict[str, str]]:
    """Writes what was handed in for a domain to a file that is named by its content.

    Args:
      values: see `rows`.
      labels: see `label_names`; None: there are none.
      class_names: of labels that are numbers.
      folder: of the file; "" is `KEPT`.

    Returns:
      (the pipeline that reads it, the settings for that, without the role in their names).

    Raises:
      UserError: values or labels are none, or are not one each.
    """
    folder, given, held = os.path.abspath(os.path.expanduser(folder or KEPT)), rows(values), {}
    if given.errors:
        place, reason = next(iter(given.errors.items()))
        raise UserError(
            f"{len(given.errors)} of {len(given.values)} rows cannot be used, the first is row {place}: {reason}. Mend "
            "or remove them."
        )
    if isinstance(class_names, str):
        raise UserError(f"class_names={class_names!r}: expected a list of names.")
    named = [None] * len(given.values)
    if labels is not None:
        class_names = [] if class_names is None else list(map(str, class_names))
        try:
            named = label_names(labels, len(named), class_names)
        except ValueError as error:
            raise UserError(f"Of what was given, {error}.") from error
        number = {None: UNLABELLED, **{name: i for i, name in enumerate(class_names)}}
        known = all(name in number for name in named)  # a class may be called -1, which is no label as a word
        held["labels"] = np.asarray([number[name] if known else name or "" for name in named])
        if class_names:
            held["class_names"] = np.asarray(class_names)
    if isinstance(given.values, list):  # images of several sizes are resized one by one, as files are
        paths = given.values
        if given.kind == "images":
            paths = [_kept(tf.io.encode_png(each).numpy(), os.path.join(folder, "images"), "png") for each in paths]
        return "lists", {"_list": _keep_list(paths, named, folder), "_root": "/"}
    file = io.BytesIO()
    np.savez(file, **held, **{given.kind: given.values})
    return "arrays", {"": _kept(file.getbuffer(), folder, "npz")}


def _keep_list(paths: Sequence[str], labels: Sequence[str | None], folder: str) -> str:
    lines = io.StringIO()
    table = csv.writer(lines)
    table.writerow(["path", "label"])
    table.writerows((os.path.abspath(path), label or "") for path, label in zip(paths, labels))
    return _kept(os.fsencode(lines.getvalue()), folder, "csv")


def _kept(content: bytes | memoryview, folder: str, ending: str) -> str:
    """Writes a file that is named by its content, if it is not there; returns its path."""
    path = os.path.join(folder, f"{hashlib.blake2b(content, digest_size=8).hexdigest()}.{ending}")
    if not os.path.exists(path):
        write_atomically(path, content)
    return path


_VALUES, _LABELS = ("image", "images", "pixel_values", "features", "x"), ("label", "labels", "class", "target", "y")
"""Keys of dictionaries in data sets."""


def of_dataset(dataset: tf.data.Dataset) -> tuple[list, list | None]:
    """Reads a tf.data set to its end.

    Args:
      dataset: of images, features or paths, alone, with labels, or in dictionaries; in batches or one by one.

    Returns:
      (rows, as `rows` takes them; labels, None where there are none).

    Raises:
      UserError: it is no such set, is empty, or has no end.
    """
    expected = "expected images, features or paths, or (images, labels), as dataset.map(lambda row: ...) makes them"
    if not isinstance(dataset, tf.data.Dataset):
        raise UserError(f"A {type(dataset).__name__} was given, no tf.data.Dataset: hand its arrays to from_arrays.")
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise UserError("The data set has no end: leave .repeat() out, or say how many, with .take(n).")
    spec = dataset.element_spec
    if isinstance(spec, Mapping):
        chosen = [next((name for name in known if name in spec), None) for known in (_VALUES, _LABELS)]
        if chosen[0] is None:
            raise UserError(f"The data set gives {', '.join(map(repr, spec))}: {expected}.")
        dataset = dataset.map(lambda row: tuple(row[name] for name in chosen if name))
        spec = dataset.element_spec
    parts = spec if isinstance(spec, tuple) else (spec,)
    if len(parts) > 2 or not all(isinstance(part, (tf.TensorSpec, tf.RaggedTensorSpec)) for part in parts):
        raise UserError(f"The data set gives {spec}: {expected}.")
    if any(isinstance(part, tf.RaggedTensorSpec) for part in parts):
        dense = lambda x: x.to_tensor() if isinstance(x, tf.RaggedTensor) else x  # noqa: E731
        dataset = dataset.unbatch() if parts[0].shape.rank == 4 else dataset
        dataset = dataset.map(lambda *row: tuple(map(dense, row)))
    values, labels, room = [], [], os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    try:
        for row in progress(
            dataset.with_options(pipeline.options()).as_numpy_iterator(), desc="data set", unit="element"
        ):
            value, *label = row if isinstance(row, tuple) else (row,)
            several = _is_batch(value, label, parts[0].shape)
            values.extend(value if several else [value])
            labels.extend([] if not label else label[0] if several else label)
            room -= getattr(value, "nbytes", 0)
            if room < 0:
                raise UserError("The data set has no end, or takes more than half of this machine's memory: use files.")
    except tf.errors.OpError as error:
        raise UserError(f"The data set cannot be read: {_first(error.message.split('} ')[-1])}") from error
    if not values:
        raise UserError("The data set is empty: expected at least one image.")
    return values, labels if len(parts) > 1 else None


def _is_batch(value: np.ndarray | bytes, label: list, shape: tf.TensorShape) -> bool:
    rank, labels = np.ndim(value), np.ndim(label[0]) if label else None
    if labels == 0 or rank == 0:
        return False
    if rank == 1:
        return value.dtype.kind == "O"  # paths; else the features of one
    if rank == 3:
        return value.shape[-1] not in (1, 3, 4)
    if rank == 2 and labels is None and not (shape.rank == 2 and shape[0] is None):
        raise UserError(
            f"{value.dtype} {list(value.shape)} of the data set may be one grey image or a batch of features: add an "
            "axis to images, x[..., None], and leave .batch() out of features."
        )
    return True
