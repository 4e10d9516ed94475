"""What people hand in from Python is taken as it is meant, or refused in a sentence."""

from __future__ import annotations

import dataclasses
import itertools
import os
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gsda_tf import handed
from gsda_tf.data import images
from gsda_tf.data.records import FileRecords
from gsda_tf.datasets.own import arrays
from gsda_tf.datasets.own.arrays import label_names
from gsda_tf.datasets.own.lists import read_list
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

    def to_numpy(self, dtype: Any = None, na_value: float | None = None) -> np.ndarray:
        return self.content.astype(dtype or self.content.dtype)

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


def test_what_is_no_file_is_an_error_and_waited_for_by_nobody(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    paths = [str(tmp_path / "pipe.png"), str(tmp_path), "/dev/zero", "\0.png", "missing.png"]
    assert handed.rows(paths).errors == dict.fromkeys(range(4), "no file")


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
        (Frame(np.asarray([["x", 1.0]], object)), "could not convert string to float: 'x'"),
        (np.ones([2, 2], complex), r"complex128 \[2, 2\] was given"),
        ([], r"A list without rows was given: expected images"),
        ({"image": _IMAGES}, r"A dict of 'image' was given: hand in one of its values"),
        (None, r"A NoneType cannot be read"),
        ([b"\x89PNG\r\n\x1a\n\0"], r"Encoded images were given: decode them"),
    ],
)
def test_what_is_refused(values, said):
    with pytest.raises(UserError, match=said):
        handed.rows(values)


def test_pictures_of_pillow_are_seen_as_their_files_are(tmp_path):
    turned, clear = Image.fromarray(_IMAGES[0]), Image.fromarray(np.concatenate([_IMAGES[0], _GREY[0]], -1))
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(_GREY[0, ..., 0].astype(np.uint16) * 257)
    for i, picture in enumerate((turned, clear, deep, Image.fromarray(_IMAGES[0]).convert("P"))):
        path = str(tmp_path / f"{i}.png")
        picture.save(path, exif=exif if picture is turned else b"")
        (pixels,) = handed.rows(Image.open(path)).values
        seen = images.decode(FileRecords([path]).load(tf.constant(0, tf.int64)))
        np.testing.assert_allclose(pixels.astype(int), seen, atol=1)  # they round otherwise where it is transparent
    wide = Image.fromarray(np.full((4, 4), 70_000, np.int32))
    with pytest.raises(UserError, match="values 70000 to 70000 were given"):
        handed.rows(wide)


def test_three_grey_images_of_a_list_are_three():
    for values in (list(_GREY[:3, ..., 0]), _set((_GREY[:3, ..., 0], _LABELS[:3]))):
        np.testing.assert_array_equal(handed.rows(values).values, np.repeat(_GREY[:3], 3, -1))


def test_what_is_masked_is_no_number_and_no_label():
    masked = np.ma.masked_array(_FEATURES, mask=np.eye(6, 4) > 0)
    assert list(handed.rows(masked).errors) == [0, 1, 2, 3]
    assert label_names(np.ma.masked_array(_LABELS, mask=_LABELS > 1), 6) == ["0", "1", None] * 2


def test_bfloat16_and_objects_are_numbers():
    for values in (tf.constant(_FEATURES, tf.bfloat16), list(tf.constant(_FEATURES, tf.bfloat16).numpy())):
        np.testing.assert_allclose(handed.rows(values).values, _FEATURES, rtol=2**-8)
    np.testing.assert_array_equal(handed.rows(_FEATURES.astype(object)).values, _FEATURES)


def test_a_path_is_found_however_its_accents_are_written(tmp_path):
    composed, not_composed = "caf\u00e9.png", "cafe\u0301.png"
    Image.fromarray(_IMAGES[0]).save(tmp_path / not_composed)
    for values in ([str(tmp_path / composed)], tmp_path / composed):
        assert handed.rows(values).values == [str(tmp_path / not_composed)]


def test_images_of_several_sizes_are_kept_as_files(tmp_path):
    sizes = [_IMAGES[0], _IMAGES[1, :4], Image.fromarray(_IMAGES[2, :, :5])]
    kinds = {handed.keep(values, [0, 1, -1], ["a", "b"], str(tmp_path))[0] for values in (sizes, sizes)}
    assert kinds == {"lists"} and len(list(tmp_path.glob("*.csv"))) == 1 and len(list(tmp_path.glob("images/*"))) == 3
    listed = read_list(str(next(tmp_path.glob("*.csv"))))
    assert [line.label for line in listed.lines] == ["a", "b", None]
    for line, image in zip(listed.lines, sizes):
        np.testing.assert_array_equal(Image.open(line.path), image)


@pytest.mark.parametrize(
    ("values", "labels", "names", "said"),
    [
        (_FEATURES, 0, (), "labels are 0: expected one a row"),
        (_FEATURES, "abcabc", (), "labels are 'abcabc': expected one a row"),
        (_FEATURES, [10**30] * 6, (), "the label of row 0 is 1000.*: expected the name"),
        (_FEATURES, _LABELS, "abc", "class_names='abc': expected a list of names"),
        (_FEATURES, _LABELS, ["a", "b"], "the label of row . is 2: expected .* its number from 0 to 1"),
        (["a.png", "b.png"], [0, 2], ["a", "b"], "the label of row . is 2: expected .* its number from 0 to 1"),
        (_FEATURES, _LABELS, ["a", "a", "b"], "a class name twice"),
        (["a.png", None], None, (), "1 of 2 rows cannot be used, the first is row 1: no path but None"),
    ],
)
def test_what_is_not_kept(values, labels, names, said, tmp_path):
    with pytest.raises(UserError, match=said):
        handed.keep(values, labels, names, str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_names_are_for_labels_and_blanks_around_them_for_nobody(tmp_path):
    for labels, names in (([" a", "b "] * 3, ()), (Frame(np.asarray([["a"], ["b"]] * 3, object)), None)):
        with np.load(handed.keep(_FEATURES, labels, names, str(tmp_path))[1][""]) as held:
            assert held["labels"].tolist() == ["a", "b"] * 3 and "class_names" not in held
    with np.load(handed.keep(_FEATURES, None, [""], str(tmp_path))[1][""]) as held:
        assert list(held) == ["features"]


def test_a_class_may_be_called_as_what_has_no_label_is_and_what_is_masked_has_none(tmp_path):
    masked = np.ma.masked_array(_LABELS, mask=_LABELS > 1)
    for labels, expected in ((_LABELS, ["-1", "1", "2"] * 2), (masked, ["-1", "1", None] * 2)):
        path = handed.keep(_FEATURES, labels, ["-1", "1", "2"], str(tmp_path))[1][""]
        assert arrays._read("source", path).labels == expected


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
    ragged = tf.ragged.stack([_IMAGES[0], _IMAGES[1, :4]])
    for dataset in (_sizes(), _sizes().ragged_batch(2), _set((ragged, [0, 1]))):
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
        (_set(["missing.png"]).map(tf.io.read_file), "cannot be read: .*missing.png; No such file"),
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
