"""Several sources as one: their classes, their balance, and what is no set of sources."""

import os

import numpy as np
import pytest

import gsda_tf
from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.classes import refuse_alike
from gsda_tf.datasets import loading
from gsda_tf.errors import DataError, UserError
from gsda_tf.recipes import written
from gsda_tf.settings import DataSettings
from tests.data.pictures import folders, lists, write_domain


@pytest.fixture
def places(tmp_path):
    """Two sources, each with a part of the classes, and a target."""
    shop = write_domain(tmp_path / "shop", {"bike": 6, "mug": 2})
    desk = write_domain(tmp_path / "desk", {"mug": 3, "pen": 2}, first=50)
    return f"{shop},{desk}", write_domain(tmp_path / "new", {"bike": 1, "mug": 1, "pen": 1}, first=100)


def test_each_source_has_a_part_of_the_classes(places):
    data = loading.load(folders(*places))
    assert data.class_names == ("bike", "mug", "pen") and data.name == "folders/shop+desk_new"
    assert data.source.place_names == ("shop", "desk")
    names = [data.source.records.name(i) for i in range(len(data.source))]
    where = [os.path.basename(os.path.dirname(os.path.dirname(name))) for name in names]
    assert where == [data.source.place_names[place] for place in data.source.places]
    classes = [os.path.basename(os.path.dirname(name)) for name in names]
    assert classes == [data.class_names[label] for label in data.source.labels]


def test_batches_are_in_balance_over_classes_and_over_the_sources_of_each(places):
    data = loading.load(folders(*places))
    settings = DataSettings(source_batch=6, target_batch=1)
    source, _ = TrainingBatches(data, settings, 0).plan(0, 20)
    labels, place = data.source.labels[source].ravel(), data.source.places[source].ravel()
    assert np.bincount(labels).tolist() == [40, 40, 40]
    assert np.bincount(place[labels == 1]).tolist() == [20, 20]
    mugs = source.ravel()[(labels == 1) & (place == 1)]
    assert sorted(np.bincount(mugs)[np.unique(mugs)]) == [6, 7, 7]


def test_paths_become_absolute_one_by_one_and_a_comma_in_a_name_is_no_second_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert written({"source_dir": "a,b"}).data.source_dir == f"{tmp_path}/a,{tmp_path}/b"
    (tmp_path / "a,b").mkdir()
    assert written({"source_dir": "a,b"}).data.source_dir == f"{tmp_path}/a,b"


def test_what_is_no_set_of_sources(places, tmp_path):
    shop, target = places[0].split(",")[0], places[1]
    with pytest.raises(DataError, match="are one place"):
        loading.load(folders(f"{shop},{shop}", target))
    write_domain(tmp_path / "other", {"Bike": 1, "mug": 1}, first=70)
    with pytest.raises(DataError, match=r"has the class 'bike' and .* 'Bike': are they one"):
        loading.load(folders(f"{shop},{tmp_path / 'other'}", target))
    refuse_alike([["A", "A+", "-1", "1"], ["A+", "1"]], ["one", "other"])  # one source means what it calls by two names
    with pytest.raises(DataError, match=r"one has the class 'A' and other 'a'"):
        refuse_alike([["A", "A+"], ["a"]], ["one", "other"])
    with pytest.raises(UserError, match="not of TFDS"):
        loading.load(DataSettings(pipeline="tfds", source="mnist,usps", target="mnist:test"))


def test_arrays_from_python(tmp_path):
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    one, two, target = (
        gsda_tf.Domain.from_arrays(rows + i, labels, folder=str(tmp_path))
        for i, labels in enumerate((["a", "b", "b", "c"], ["b", "c", "d", "d"], None))
    )
    joined = gsda_tf.Domain.joined([one, two])
    data = loading.load(DataSettings(pipeline="arrays", **joined.given("source"), **target.given("target")))
    assert data.class_names == ("a", "b", "c", "d") and data.source.labels.tolist() == [0, 1, 1, 2, 1, 2, 3, 3]
    assert data.source.places.tolist() == [0] * 4 + [1] * 4
    np.testing.assert_array_equal(np.asarray(data.source.records.samples(np.arange(8))), [*rows, *(rows + 1)])
    for wrong in ([], [one, gsda_tf.Domain.from_folder("x")], [gsda_tf.Domain.from_tfds("mnist")] * 2):
        with pytest.raises(UserError, match="Several sources"):
            gsda_tf.Domain.joined(wrong)


def _list(path, root, domain, label=str):
    names = sorted(p.relative_to(root) for p in (root / domain).rglob("*.jpg"))
    path.write_text("".join(f"{name} {label(name.parts[1])}\n" for name in names))
    return str(path)


def test_lists(places, tmp_path):
    number = ["bike", "mug", "pen"].index
    for label in (str, number):
        one, two, target = (_list(tmp_path / f"{name}.txt", tmp_path, name, label) for name in ("shop", "desk", "new"))
        data = loading.load(lists(f"{one},{two}", target))
        assert data.class_names == ("bike", "mug", "pen") and data.name == "lists/shop+desk_new"
        by_folders = loading.load(folders(*places))
        assert [*map(data.source.records.name, range(13))] == [*map(by_folders.source.records.name, range(13))]
        where = [name.split("/")[-3] for name in map(data.source.records.name, range(13))]
        assert where == [data.source.place_names[place] for place in data.source.places]
    joined = gsda_tf.Domain.joined([gsda_tf.Domain.from_list(each, str(tmp_path)) for each in (one, two)])
    assert joined.given("source") == {"source_list": f"{one},{two}", "source_root": str(tmp_path)}
    for name, told, said in (
        ("desk", lambda name: number(name) - 1, "number folders differently, or"),
        ("desk", str, "or have numbers and words as labels"),
    ):
        other = _list(tmp_path / "other.txt", tmp_path, name, told)
        with pytest.raises(DataError, match=said):
            loading.load(lists(f"{one},{other}", target))
    words = [
        _list(tmp_path / f"{name}.txt", tmp_path, name, told) for name, told in (("shop", str.title), ("desk", str))
    ]
    target = _list(tmp_path / "new.txt", tmp_path, "new")
    with pytest.raises(DataError, match=r"has the class 'Mug' and .* 'mug': are they one"):
        loading.load(lists(",".join(words), target))
