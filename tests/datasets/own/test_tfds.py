"""Sets of TFDS as source and target: this package's own, and any other."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from gsda_tf import recipes
from gsda_tf.datasets import loading
from gsda_tf.errors import UserError
from tests.datasets.test_digit_sets import copies  # noqa: F401 - a fixture
from tests.datasets.test_prepare import Colours


class Shades(tfds.core.GeneratorBasedBuilder):
    """Named otherwise than others name them, with two configurations, and classes in another order."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("light", "dark")]  # noqa: RUF012

    def _info(self):
        features = {
            "picture": tfds.features.Image(shape=(8, 8, 1)),
            "kind": tfds.features.ClassLabel(names=["c", "a"]),
            "number": tfds.features.Scalar(np.int64),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples(20)}

    def _generate_examples(self, count):
        shade = {"light": 200, "dark": 0}[self.builder_config.name]
        for number in range(count):
            picture = np.full((8, 8, 1), shade + number, np.uint8)
            yield number, {"picture": picture, "kind": number % 2, "number": number}


class Untold(Colours):
    """Has images, but two classes each."""

    def _info(self):
        names = dict.fromkeys(("label", "other"), tfds.features.ClassLabel(num_classes=3))
        features = {"image": tfds.features.Image(shape=(8, 8, 3)), **names}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _generate_examples(self):
        for number, example in super()._generate_examples():
            yield number, {**example, "other": 0}


def _load(folder, source, target, **given):
    given = {"pipeline": "tfds", "source": source, "target": target, "data_dir": str(folder), **given}
    return loading.load(recipes.resolve(given).data)


def test_classes_are_matched_by_name(tmp_path):
    data = _load(tmp_path, "colours", "shades/dark:test")
    assert data.name == "tfds/colours_shades-dark-test"
    assert data.class_names == ("a", "b", "c") and len(data.source) == 50
    values = [int(tf.io.decode_image(data.target.records.load(i))[0, 0, 0]) for i in range(20)]
    assert sorted(values) == list(range(20))
    assert [{0: 2, 1: 0}[value % 2] for value in values] == data.target.labels.tolist()
    assert data.partial


def test_a_part_of_a_split(tmp_path):
    whole = _load(tmp_path, "colours", "shades/light:test")
    part = _load(tmp_path, "colours:train[:40%]", "shades/light:test[10:]")
    assert (len(part.source), len(part.target)) == (20, 10)
    np.testing.assert_array_equal(part.target.labels, whole.target.labels[10:])
    assert part.target.records.load(0).numpy() == whole.target.records.load(10).numpy()


def test_sets_of_this_package(copies):  # noqa: F811
    settings, expected = copies
    data = _load(settings.data_dir, "mnist_npz", "usps", manual_dir=settings.manual_dir)
    assert data.class_names == tuple("0123456789")
    np.testing.assert_array_equal(data.source.labels, np.sort(expected["mnist"][1]))
    np.testing.assert_array_equal(data.target.labels, np.sort(expected["usps"][1]))


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("colours", "", "not of the form NAME"),
        ("colours", "colours", "colours and colours are one place"),
        ("../x", "colours", "not of the form NAME"),
        ("someone:else:train", "colours", "not of the form NAME"),
        ("colour", "shades/dark:test", "Did you mean 'colours'"),
        ("colours:tain", "shades/dark:test", "Unknown split of colours 'tain'"),
        ("colours", "shades/dim:test", "dim"),
        ("shades/dark:test", "colours", "class 'b'"),
        ("untold", "colours", "2 features of kind ClassLabel"),
        ("colours:train[:2000%]", "shades/dark:test", r"train\[:2000%\]"),
    ],
)
def test_says_what_is_wrong(tmp_path, source, target, said):
    with pytest.raises(UserError, match=said):
        _load(tmp_path, source, target)


def test_a_set_that_was_stored_is_read_without_its_code(tmp_path):
    folders = []
    for config, kind in (("light", "tfrecord"), ("dark", "array_record")):
        builder = Shades(data_dir=str(tmp_path), config=config)
        builder.download_and_prepare(file_format=kind)
        folders.append(str(builder.data_dir))
    data = _load(tmp_path, *(f"{folder}:test" for folder in folders))
    assert data.class_names == ("c", "a") and len(data.source) == len(data.target) == 20
    for domain, shade in ((data.source, 200), (data.target, 0)):
        seen = [int(tf.io.decode_png(domain.records.load(tf.constant(i, tf.int64)))[0, 0, 0]) for i in range(20)]
        assert sorted(seen) == list(range(shade, shade + 20))
        assert [(value - shade) % 2 for value in seen] == domain.labels.tolist()
    with pytest.raises(UserError, match=r"Unknown split of .*'train'"):
        _load(tmp_path, *folders)


@pytest.mark.parametrize("key", ["pythonClassName", "python_class_name", "type"])
def test_what_a_stored_set_names_is_not_imported(tmp_path, key):
    (tmp_path / "features.json").write_text(f'{{"a": [{{"{key}": "antigravity.Features"}}]}}')
    with pytest.raises(UserError, match=r"features of other kinds than TFDS's own \(\['antigravity.Features'\]\)"):
        _load(tmp_path, str(tmp_path), "colours")


def test_a_folder_without_a_stored_set_is_told(tmp_path):
    with pytest.raises(
        UserError, match=r"holds no set that TFDS stored .* expected dataset_info.json and features.json"
    ):
        _load(tmp_path, str(tmp_path), "colours")
