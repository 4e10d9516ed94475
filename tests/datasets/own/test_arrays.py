"""Own data as arrays: what a file may hold, and that none does harm."""

from __future__ import annotations

import io
import os
import zipfile

import numpy as np
import pytest

import gsda_tf
from gsda_tf import recipes
from gsda_tf.datasets import loading
from gsda_tf.datasets.own import arrays
from gsda_tf.errors import UserError

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(6, 5))
IMAGES = RNG.integers(0, 256, (6, 4, 7), np.uint8)


def _task(folder, source, target, **given):
    """Settings and data of two files with these arrays."""
    for name, content in (("a", source), ("b", target)):
        np.savez(folder / f"{name}.npz", **content)
    given = {"pipeline": "arrays", "source": str(folder / "a.npz"), "target": str(folder / "b.npz"), **given}
    settings = recipes.resolve(given)
    return settings, loading.load(settings.data)


def test_features(tmp_path):
    source = {"features": FEATURES, "labels": np.array([2, 0, 1, 2, 10, 1])}
    settings, data = _task(tmp_path, source, {"features": 2 * FEATURES[:3], "labels": [10, 2, 1]})
    assert (data.name, data.class_names) == ("arrays/a_b", ("0", "1", "2", "10"))
    np.testing.assert_array_equal(data.source.labels, [2, 0, 1, 2, 3, 1])
    np.testing.assert_array_equal(data.target.labels, [3, 2, 1])
    np.testing.assert_array_equal(data.target.records.load(1), 2 * FEATURES[1].astype(np.float32))
    assert data.target.records.name(2) == "b.npz[2]"
    assert settings.model.extractor == "features:5" and settings.model.freeze_backbone


@pytest.mark.parametrize("shape", [(6, 4, 7), (6, 4, 7, 1), (6, 4, 7, 3)])
def test_images(tmp_path, shape):
    images = np.broadcast_to(IMAGES.reshape(6, 4, 7, 1), shape) if len(shape) == 4 else IMAGES
    settings, data = _task(tmp_path, {"images": images, "labels": list("abcabc")}, {"images": images[:2]})
    assert settings.model.extractor == "resnet50" and not data.target.labelled
    assert data.class_names == ("a", "b", "c")
    np.testing.assert_array_equal(data.source.records.load(5), np.repeat(IMAGES[5][..., None], 3, axis=-1))


def test_named_numbers(tmp_path):
    source = {"features": FEATURES, "labels": [1, 0, 1, 0, 1, 0], "class_names": ["cat", "ant"]}
    _, data = _task(tmp_path, source, {"features": FEATURES, "labels": ["ant"] * 6})
    assert data.class_names == ("cat", "ant")
    np.testing.assert_array_equal(data.target.labels, [1] * 6)
    assert data.partial


@pytest.mark.parametrize(
    "labels",
    [
        [[2], [0], [1], [2], [0], [1]],
        np.eye(3)[[2, 0, 1, 2, 0, 1]],
        np.eye(3, dtype=bool)[[2, 0, 1, 2, 0, 1]],
        [2.0, 0.0, 1.0, 2.0, 0.0, 1.0],
        [b"2", b"0", b"1", b"2", b"0", b"1"],
        np.asarray([2, "0", 1.0, b"2", np.int8(0), True], object),
    ],
)
def test_labels_are_taken_as_they_are_meant(labels):
    assert arrays.label_names(labels, 6) == ["2", "0", "1", "2", "0", "1"]


class _Series:
    """As pandas has them: text is objects, and what is missing is NaN."""

    dtype = np.dtype(object)

    def __init__(self, *values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._values, object)


def test_labels_from_python(tmp_path):
    """The same labels of several kinds are one file; none holds objects, whose addresses would name it."""
    paths = set()
    for labels in (list("abcabc"), _Series(*"abcabc"), np.asarray(list("abcabc"), object), [b"a", b"b", b"c"] * 2):
        paths.add(gsda_tf.Domain.from_arrays(FEATURES, labels, folder=str(tmp_path)).settings[""])
    (path,) = paths
    assert _read(path).labels == list("abcabc")


def test_numbers_of_the_target_count_in_the_sources_names(tmp_path):
    source = {"features": FEATURES, "labels": [0, 1, 2] * 2, "class_names": ["b", "a", "c"]}
    _, data = _task(tmp_path, source, {"features": 2 * FEATURES, "labels": [2, 1, 0] * 2})
    assert data.class_names == ("b", "a", "c") and data.target.labels.tolist() == [2, 1, 0] * 2


def test_labels_that_are_none(tmp_path):
    for labels, said in (
        (_Series(*"abcab", {}), "the label of row 5 is {}: expected the name"),
        (FEATURES, "not one-hot"),
    ):
        with pytest.raises(UserError, match=said):
            gsda_tf.Domain.from_arrays(FEATURES, labels, folder=str(tmp_path))


@pytest.mark.parametrize("missing", [None, np.nan, float("nan"), "nan", "NaN", "<NA>", ""])
def test_what_is_missing_is_no_class(missing):
    assert arrays.label_names(["a", missing], 2) == ["a", None]
    assert arrays.label_names([1, missing], 2, ["a", "b"]) == ["b", None]


def test_accents_are_one_class_however_they_are_written(tmp_path):
    composed, not_composed = "caf\u00e9", "cafe\u0301"
    source = {"features": FEATURES, "labels": [composed, "a"] * 3}
    _, data = _task(tmp_path, source, {"features": FEATURES, "labels": [not_composed, "a"] * 3})
    assert data.class_names == ("a", composed) and data.target.labels.tolist() == [1, 0] * 3


def test_a_class_without_a_source_image_is_told(tmp_path):
    source = {"features": FEATURES, "labels": [0, 2] * 3, "class_names": ["cat", "ant", "bee"]}
    _, data = _task(tmp_path, source, {"features": 2 * FEATURES})
    assert data.remarks == ("1 of the 3 classes have no source image (ant): nothing is learnt.",)


def test_classes_that_the_source_lacks_are_unknown_if_that_is_said(tmp_path):
    source = {"features": FEATURES, "labels": ["a", "b"] * 3}
    target = {"features": 2 * FEATURES, "labels": ["b", "x", "", "unknown", "a", "x"]}
    _, data = _task(tmp_path, source, target, unknown="reject", target_holdout=1.0)
    assert data.class_names == ("a", "b", "unknown") and data.target.labels.tolist() == [0, 1, 2, 2, 2, -1]
    assert data.remarks[0] == "Unknown: 3 target images, of classes that the source has not: unknown, x."


def test_the_same_rows_in_both_domains_are_told(tmp_path):
    source = {"features": FEATURES, "labels": [0, 1] * 3}
    _, data = _task(tmp_path, source, {"features": np.concatenate([2 * FEATURES, FEATURES[1:3]])})
    (told,) = data.remarks
    assert told.startswith("2 of the 8 target images are in the source too (a.npz[1] is b.npz[6])")


def test_a_file_that_changes_under_the_same_size_and_time_is_read_again(tmp_path):
    for labels in ("abcabc", "bcabca"):
        np.savez(tmp_path / "a.npz", features=FEATURES, labels=list(labels))
        os.utime(tmp_path / "a.npz", ns=(0, 0))
        assert "".join(_read(tmp_path / "a.npz").labels) == labels


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ({"labels": [0, 1]}, {}, "holds labels: expected an .npz file"),
        ({"features": FEATURES, "images": IMAGES, "labels": range(6)}, {}, "holds features, images, labels"),
        ({"features": FEATURES}, {}, "6 of the 6 images of the source have no label"),
        ({"features": FEATURES, "labels": [0, 1]}, {}, r"there are 6 rows and labels of \(2,\)"),
        ({"features": FEATURES, "labels": FEATURES[:, 0]}, {}, "the label of row 0 is .*: expected the name"),
        ({"features": FEATURES, "labels": np.full((6, 3), 0.3)}, {}, r"not one-hot: .*\.argmax\(axis=1\)"),
        ({"features": FEATURES, "labels": [0.0, 1.0, np.nan, 0.0, 1.0, 1.0]}, {}, "the first is .*a.npz row 2"),
        ({"features": FEATURES, "labels": [*"ababa", "nan"]}, {}, "1 of the 6 images of the source have no label"),
        ({"features": FEATURES, "labels": [0, 1, -1, 1, 1, 1]}, {}, "1 of the 6 images of the source have no label"),
        ({"features": FEATURES, "labels": [0, 1, -3, 1, 1, 1]}, {}, "the label of row 2 is -3: expected the name"),
        ({"features": FEATURES, "labels": [0] * 6}, {}, "1 class"),
        ({"features": FEATURES, "labels": ["a" * 2000] * 6}, {}, "the label of row 0 is a{50}: expected"),
        ({"features": IMAGES, "labels": range(6)}, {}, r"a.npz, uint8 \[6, 4, 7\] was given where features are"),
        ({"features": np.full((6, 5), np.nan), "labels": range(6)}, {}, "6 of 6 rows .* no finite"),
        ({"features": np.full((6, 5), 1e300), "labels": range(6)}, {}, "6 of 6 rows .* no finite"),
        ({"images": FEATURES.reshape(6, 5, 1) - 9, "labels": range(6)}, {}, "a.npz, Images of values"),
        ({"features": FEATURES[:0], "labels": []}, {}, r"a.npz, float64 \[0, 5\] was given"),
        ({"features": FEATURES, "labels": range(6)}, {"features": FEATURES[:, :2]}, r"\(5,\), .* \(2,\)"),
        ({"features": FEATURES, "labels": range(6)}, {"images": IMAGES}, "is float32 .* uint8"),
        ({"features": FEATURES, "labels": range(6)}, {"features": FEATURES, "labels": range(1, 7)}, "class '6'"),
        ({"features": FEATURES, "labels": range(6), "class_names": list("aab")}, {}, "class name twice"),
        ({"features": FEATURES, "labels": range(6), "class_names": list("abc")}, {}, "row 3 is 3: .* from 0 to 2"),
    ],
)  # fmt: skip
def test_says_what_is_wrong(tmp_path, source, target, said):
    with pytest.raises(UserError, match=said):
        _task(tmp_path, source, target or {"features": FEATURES})


@pytest.mark.parametrize("given", [{"extractor": "resnet50"}, {"image_size": 32}, {"freeze_backbone": False}])
def test_settings_about_images_are_refused_where_there_are_none(tmp_path, given):
    with pytest.raises(UserError, match="about images"):
        _task(tmp_path, {"features": FEATURES, "labels": range(6)}, {"features": FEATURES}, **given)


def test_the_extractor_of_features_is_not_for_images():
    with pytest.raises(UserError, match="leave it out"):
        recipes.resolve({"extractor": "features:5"})


@pytest.mark.parametrize("given", [{"source": "a.npz"}, {"pipeline": "arrays"}, {"pipeline": "arrays", "source": "no"}])
def test_names_the_missing_flag(given):
    with pytest.raises(UserError, match=r"--source|--pipeline"):
        recipes.resolve(given)


def _file(path, content: bytes, name="features.npy"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def _read(path):
    return arrays._read("source", str(path))


def test_runs_nothing_that_a_file_holds(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    np.savez(tmp_path / "a.npz", features=FEATURES, labels=np.array([Harm()] * 6, object))
    with pytest.raises(UserError, match="cannot be read"):
        _read(tmp_path / "a.npz")
    assert not (tmp_path / "harm").exists()


def test_believes_no_size(tmp_path):
    lie = io.BytesIO()
    np.lib.format.write_array_header_1_0(lie, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 5)})
    with pytest.raises(UserError, match="cannot be read"):
        _read(_file(tmp_path / "a.npz", lie.getvalue() + bytes(20)))
    for content in (b"", b"\x93NUMPY", b"no array", lie.getvalue()[:30]):
        with pytest.raises(UserError, match=r"cannot be read|where features are"):
            _read(_file(tmp_path / "b.npz", content))


def test_refuses_what_no_memory_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    np.savez_compressed(tmp_path / "a.npz", features=np.zeros((100, 100)), labels=np.zeros(100, int))
    with pytest.raises(UserError, match="half of this machine's memory"):
        _read(tmp_path / "a.npz")


def test_a_damaged_file_is_told(tmp_path):
    np.savez(tmp_path / "a.npz", features=FEATURES, labels=range(6))
    data = (tmp_path / "a.npz").read_bytes()
    for cut in range(0, len(data), 61):
        (tmp_path / "a.npz").write_bytes(data[:cut])
        with pytest.raises(UserError, match="cannot be read"):
            _read(tmp_path / "a.npz")
    flipped = bytearray(data)
    flipped[data.index(FEATURES.tobytes()) + 3] ^= 255
    (tmp_path / "a.npz").write_bytes(flipped)
    with pytest.raises(UserError, match="cannot be read"):
        _read(tmp_path / "a.npz")
