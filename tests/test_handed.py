"""What people hand in from Python is taken as it is meant, or refused in a sentence."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gsda_tf import handed
from gsda_tf.errors import UserError

_RNG = np.random.default_rng(0)
_IMAGES = _RNG.integers(0, 256, (6, 8, 9, 3)).astype(np.uint8)
_GREY = _IMAGES[..., :1]
_FEATURES = _RNG.normal(size=(6, 4)).astype(np.float32)
_LABELS = np.arange(6) % 3
_set = tf.data.Dataset.from_tensor_slices


@dataclasses.dataclass
class Frame:
    """A table as pandas has it, as far as it is asked."""

    content: np.ndarray

    @property
    def columns(self) -> list[str]:
        return [f"c{i}" for i in range(self.content.shape[1])]

    @property
    def dtypes(self) -> list[np.dtype]:
        return [np.asarray(column.tolist()).dtype for column in self.content.T]

    def to_numpy(self, dtype: Any, na_value: float) -> np.ndarray:
        return self.content.astype(dtype)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self.content


@pytest.mark.parametrize(
    "values",
    [
        _IMAGES,
        _IMAGES.astype(np.int64),
        _IMAGES.astype(np.float32),
        _IMAGES / 255.0,
        np.moveaxis(_IMAGES, -1, 1),
        list(_IMAGES),
        [Image.fromarray(image) for image in _IMAGES],
        tf.constant(_IMAGES),
        np.asarray([None, *_IMAGES], object)[1:],
    ],
    ids=["uint8", "whole", "0..255", "0..1", "channels first", "list", "Pillow", "tensor", "objects"],
)
def test_images_are_the_same_however_they_come(values):
    rows = handed.rows(values)
    assert (rows.kind, rows.errors) == ("images", {}) and rows.values.dtype == np.uint8
    np.testing.assert_array_equal(rows.values, _IMAGES)


@pytest.mark.parametrize("values", [_GREY, _GREY[..., 0], _GREY[..., 0] / 255.0], ids=["channel", "plain", "0..1"])
def test_grey_images_have_three_channels_alike(values):
    np.testing.assert_array_equal(handed.rows(values).values, np.repeat(_GREY, 3, -1))


@pytest.mark.parametrize("one", [_IMAGES[0], Image.fromarray(_IMAGES[0]), _GREY[0], _GREY[0, ..., 0]])
def test_one_image_is_one_row(one):
    assert handed.rows(one, features=False).values.shape == (1, 8, 9, 3)


def test_images_of_several_sizes_stay_in_order():
    rows = handed.rows([_IMAGES[0], _IMAGES[1, :4], _IMAGES[2], np.full((2, 2), np.nan)])
    assert [np.shape(value) for value in rows.values] == [(8, 9, 3), (4, 9, 3), (8, 9, 3), (2, 2, 3)]
    assert [places.tolist() for places, _ in rows.parts()] == [[0, 2], [1]] and list(rows.errors) == [3]


@pytest.mark.parametrize(
    "values", [_FEATURES, _FEATURES.astype(np.float64), _FEATURES.tolist(), Frame(_FEATURES), tf.constant(_FEATURES)]
)
def test_features_are_the_same_however_they_come(values):
    rows = handed.rows(values)
    assert rows.kind == "features" and rows.values.dtype == np.float32
    np.testing.assert_array_equal(rows.values, _FEATURES)


def test_a_row_without_a_number_is_an_error_and_the_others_are_not():
    rows = handed.rows(np.where(np.eye(6, 4) == 1, [[np.nan, np.inf, -np.inf, 1e300]], _FEATURES.astype(np.float64)))
    assert list(rows.errors) == [0, 1, 2, 3]
    assert [places.tolist() for places, _ in rows.parts()] == [[4, 5]]
    assert list(handed.rows(np.where(np.arange(6)[:, None, None, None] == 2, np.nan, _IMAGES)).errors) == [2]


@pytest.mark.parametrize("values", [["a.png", "b.png"], np.asarray(["a.png", "b.png"]), [b"a.png", "b.png"]])
def test_paths(values):
    rows = handed.rows(values)
    assert (rows.kind, rows.values, rows.errors) == ("paths", ["a.png", "b.png"], {})


def test_a_table_of_one_column_of_paths_and_a_gap_in_it():
    rows = handed.rows(Frame(np.asarray([["a.png"], [None]], object)))
    assert rows.values[0] == "a.png" and rows.errors == {1: "no path but None"}


def test_a_folder(tmp_path):
    for name in ("b.png", "a.png"):
        Image.fromarray(_IMAGES[0]).save(tmp_path / name)
    assert handed.rows(tmp_path).values == [f"{tmp_path}/a.png", f"{tmp_path}/b.png"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (_IMAGES / 127.5 - 1, r"values -1 to 1 were given: .* Values of -1..1 are \(x \+ 1\) \* 127.5"),
        (_IMAGES.astype(np.uint16) * 257, r"values 0 to 65535 were given"),
        (_IMAGES.astype(np.int64) - 5, r"values -5 to 250 were given"),
        (np.moveaxis(_IMAGES[0], -1, 0), r"may be one image or three grey ones: add an axis"),
        (np.concatenate([_IMAGES, _GREY], -1), r"of four channels images\[..., :3\]"),
        (_FEATURES[0], r"float32 \[4\] was given where features are"),
        (Frame(np.asarray([["x", 1.0]], object)), r"object \[1, 2\] was given where features are"),
        (np.ones([2, 2], complex), r"complex128 \[2, 2\] was given"),
        ([], r"A list without rows was given: expected images"),
        ({"image": _IMAGES}, r"A dict without rows was given"),
        (None, r"A NoneType cannot be read"),
        ([b"\x89PNG\r\n\x1a\n\0"], r"Encoded images were given: decode them"),
    ],
)
def test_what_is_refused(values, said):
    with pytest.raises(UserError, match=said):
        handed.rows(values)


def test_features_where_images_are_wanted():
    with pytest.raises(UserError, match=r"float32 \[6, 4\] was given where images are"):
        handed.rows(_FEATURES, features=False)


def _sizes():
    kinds = (tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.int64))
    return tf.data.Dataset.from_generator(lambda: zip((_IMAGES[0], _IMAGES[1, :4]), (0, 1)), output_signature=kinds)


@pytest.mark.parametrize(
    ("dataset", "values", "labels"),
    [
        (_set((_IMAGES, _LABELS)), _IMAGES, _LABELS),
        (_set((_IMAGES.astype(np.float32), np.eye(3)[_LABELS])).batch(4), _IMAGES, np.eye(3)[_LABELS]),
        (_set({"image": _IMAGES, "label": _LABELS, "id": _LABELS}), _IMAGES, _LABELS),
        (_set({"x": _FEATURES}).batch(4), _FEATURES, None),
        (_set((_GREY[..., 0], _LABELS)), np.repeat(_GREY, 3, -1), _LABELS),
        (_set((_GREY[..., 0], _LABELS)).batch(4), np.repeat(_GREY, 3, -1), _LABELS),
        (_set(_FEATURES), _FEATURES, None),
    ],
)
def test_data_sets_are_read_to_their_end(dataset, values, labels):
    told = handed.of_dataset(dataset)[1]
    np.testing.assert_array_equal(handed.rows(dataset).values, values)
    assert told is None if labels is None else np.array_equal(np.asarray(told), labels)


def test_data_sets_of_paths_and_of_several_sizes():
    for dataset in (_set((["a.png"] * 3, [0, 1, 0])), _set((["a.png"] * 3, [0, 1, 0])).batch(2)):
        assert handed.rows(handed.of_dataset(dataset)[0]).values == ["a.png"] * 3
    for dataset in (_sizes(), _sizes().ragged_batch(2)):
        values, labels = handed.of_dataset(dataset)
        assert [np.shape(value) for value in values] == [(8, 9, 3), (4, 9, 3)] and labels == [0, 1]


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (_set(_IMAGES).repeat(), r"has no end: leave .repeat\(\) out, or say how many, with .take\(n\)"),
        (_set(_IMAGES).take(0), "is empty"),
        (_set((_IMAGES, _LABELS, _LABELS)), "expected images, features or paths, or"),
        (_set({"photo": _IMAGES}), "gives 'photo': expected"),
        (_set(_GREY[..., 0] / 255.0), "may be one grey image or a batch of features"),
        (_IMAGES, "A ndarray was given, no tf.data.Dataset"),
        (_set(["missing.png"]).map(tf.io.read_file), "cannot be read: .*missing.png"),
    ],
)
def test_data_sets_that_are_refused(dataset, said):
    with pytest.raises(UserError, match=said):
        handed.of_dataset(dataset)


def test_a_data_set_that_does_not_say_that_it_has_no_end(monkeypatch):
    monkeypatch.setattr(handed.os, "sysconf", lambda name: 50)
    kind = tf.TensorSpec([8, 9, 3], tf.uint8)
    endless = tf.data.Dataset.from_generator(lambda: itertools.repeat(_IMAGES[0]), output_signature=kind)
    with pytest.raises(UserError, match="no end, or takes more than half of this machine's memory"):
        handed.of_dataset(endless)
