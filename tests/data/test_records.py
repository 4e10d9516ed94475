"""One contract for whatever a domain holds: every kind answers every question, whole and in part."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gsda_tf.data.features import FeatureRecords, Rows
from gsda_tf.data.records import ArrayRecords, FileRecords, SourceRecords
from gsda_tf.settings import DataSettings
from tests.data.pictures import encoded, picture

_SETTINGS = DataSettings(image_size=8, resize_size=10, augmentation="standard")
_ROWS = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)


def _files(folder) -> FileRecords:
    for i in range(5):
        (folder / f"{i}.png").write_bytes(encoded("PNG", i))
    return FileRecords([str(folder / f"{i}.png") for i in range(5)])


def _source(folder) -> SourceRecords:
    (folder / "set").write_bytes(b"an archive")
    examples = [{"image": encoded("PNG", i), "filename": f"{i}.png"} for i in range(5)]
    return SourceRecords(examples, "image", "set/train", "filename", [str(folder / "set")])


_KINDS = {
    "files": _files,
    "source": _source,
    "arrays": lambda folder: ArrayRecords(np.stack([picture(i) for i in range(5)]), "a"),
    "features": lambda folder: FeatureRecords(_ROWS, "a"),
    "rows of images": lambda folder: FeatureRecords(
        Rows([_ROWS], np.stack([np.zeros(5, int), np.arange(5)], 1)), _files(folder)
    ),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_answers_every_question(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("gsda_tf.data.records.SETTLED", 0.0)
    whole = _KINDS[kind](tmp_path)
    some = whole.chosen(np.asarray([3, 0, 4])).chosen(np.asarray([2, 0]))  # 4 and 3
    assert (len(whole), len(some)) == (5, 2)
    spec = whole.spec(_SETTINGS)
    for index, place in ((0, 4), (1, 3)):
        for answer in ("name", "stamp", "key", "mark", "stored"):
            assert getattr(some, answer)(index) == getattr(whole, answer)(place), answer
        np.testing.assert_array_equal(some.load(tf.constant(index)), whole.load(tf.constant(place)))
    assert len({whole.stamp(i) for i in range(5)}) == len({whole.name(i) for i in range(5)}) == 5
    for decode in (False, True):
        check = some.check(decode)
        assert check is None or [check(0), check(1)] == [None, None]
    indices, seeds = np.asarray([[0, 1, 1]]), np.arange(6).reshape(1, 3, 2)
    place_of = np.asarray([4, 3])
    for read in (lambda r, i: r.evaluation(i, _SETTINGS), lambda r, i: r.training(i, seeds, _SETTINGS)):
        (one,) = read(some, indices).as_numpy_iterator()
        (other,) = read(whole, place_of[indices]).as_numpy_iterator()
        assert one.shape == (3, *spec.shape) and one.dtype == spec.dtype
        np.testing.assert_array_equal(one, other)
    one, other = some.samples(np.asarray([1, 0])), whole.samples(np.asarray([3, 4]))
    assert type(one) is type(other) and np.array_equal(one, other)
    assert whole.visible == (kind not in ("features", "rows of images"))


def test_files_of_one_name_and_size_are_told_apart(tmp_path):
    marks = []
    for folder, shade in (("a", 60), ("b", 60), ("c", 61)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full((4, 4, 3), shade, np.uint8)).save(tmp_path / folder / "x.bmp")
        marks.append(FileRecords([str(tmp_path / folder / "x.bmp")]).mark(0))
    assert marks[0] == marks[1] != marks[2]
    assert len({(tmp_path / folder / "x.bmp").stat().st_size for folder in "abc"}) == 1


@pytest.mark.parametrize("kind", _KINDS)
def test_records_that_nobody_holds_are_let_go_of(tmp_path, kind, monkeypatch):
    """TensorFlow never forgets a Python function that a pipeline calls."""
    monkeypatch.setattr("gsda_tf.data.features._HELD", 0)
    records = _KINDS[kind](tmp_path)
    for read in (records.evaluation(np.asarray([[0, 1]]), _SETTINGS), tf.data.Dataset.range(2).map(records.load)):
        assert len(list(read.as_numpy_iterator())) in (1, 2)
    held = [weakref.ref(each) for each in vars(records).values() if type(each).__module__.startswith("gsda_tf")]
    del records, read
    gc.collect()
    assert [each() for each in held] == [None] * len(held)
