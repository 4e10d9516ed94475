"""MNIST, USPS and SVHN as domains of the digits benchmark."""

from __future__ import annotations

import dataclasses
import gzip

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes
from gsda_tf.data.images import ImageGeometry, seen
from gsda_tf.datasets import get_benchmark
from gsda_tf.datasets.mnist_npz.mnist_npz_dataset_builder import Builder as MnistNpz
from gsda_tf.datasets.preparing import prepare
from gsda_tf.datasets.usps.usps_dataset_builder import Builder as Usps
from gsda_tf.datasets.usps.usps_dataset_builder import read_text
from gsda_tf.errors import DataError
from gsda_tf.settings import DataSettings


def _write_usps(path, labels, values):
    lines = [f"{label:.4f} " + " ".join(f"{v:.4f}" for v in row) for label, row in zip(labels, values)]
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines) + "\n")


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """mnist.npz and both files of USPS, a few digits each, as (settings, images and labels by set)."""
    monkeypatch.setattr(MnistNpz, "SIZES", {"train": 12, "test": 4})
    monkeypatch.setattr(Usps, "SIZES", {"train": 12, "test": 4})
    rng = np.random.default_rng(0)
    folder = tmp_path / "manual" / "digits"
    folder.mkdir(parents=True)
    arrays = {}
    for split, size in (("train", 12), ("test", 4)):
        labels = rng.integers(0, 10, size)
        arrays[f"x_{split}"], arrays[f"y_{split}"] = rng.integers(0, 256, (size, 28, 28), np.uint8), labels
    np.savez(folder / "mnist.npz", **arrays)
    values = rng.integers(0, 256, (12, 256))
    usps_labels = rng.integers(0, 10, 12)
    _write_usps(folder / "usps_zip.train.gz", usps_labels, values / 127.5 - 1)
    _write_usps(folder / "usps_zip.test.gz", np.arange(4), -np.ones((4, 256)))
    settings = DataSettings(manual_dir=str(tmp_path / "manual"), data_dir=str(tmp_path / "data"))
    return settings, {
        "mnist": (arrays["x_train"], arrays["y_train"]),
        "usps": (values.reshape(12, 16, 16), usps_labels),
    }


def _pixels(domain) -> np.ndarray:
    return domain.records.load(tf.range(len(domain), dtype=tf.int64)).numpy()


def test_own_copies(copies):
    settings, expected = copies
    data = get_benchmark("digits").task("Mn_Us", settings)
    for domain in (data.source, data.target):
        images, labels = expected[domain.name]
        order = np.argsort(labels, kind="stable")
        np.testing.assert_array_equal(domain.labels, labels[order])
        for index, original in enumerate(order):
            pixels = tf.io.decode_image(domain.records.load(index), channels=3).numpy()
            np.testing.assert_array_equal(pixels, np.repeat(images[original][..., None], 3, axis=-1))


def test_pixels_in_memory_are_those_of_the_files(copies):
    settings, _ = copies
    given = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    given = {f.name: given[f.name] for f in dataclasses.fields(settings) if given[f.name] != f.default}
    in_memory = recipes.resolve({**given, "task": "digits/Mn_Us"}).data
    geometry = ImageGeometry(32, 32)
    for name, split in (("mnist_npz", "train"), ("usps", "test")):
        encoded = prepare.load_domain(name, split, name, in_memory)
        expected = [seen(encoded.records.load(i), geometry) for i in range(len(encoded))]
        for _ in range(2):  # the second time from the file kept beside the records
            domain = prepare.load_decoded(name, split, name, in_memory)
            np.testing.assert_array_equal(domain.labels, encoded.labels)
            np.testing.assert_array_equal(_pixels(domain), expected)
            np.testing.assert_array_equal(domain.records.load(tf.constant(3)), expected[3])


def test_augmented_pixels_in_memory_are_those_of_the_files(copies):
    settings = dataclasses.replace(copies[0], image_size=32, resize_size=32, augmentation="digits")
    geometry, seed = ImageGeometry(32, 32), tf.constant([3, 5])
    encoded = prepare.load_domain("usps", "train", "usps", settings)
    domain = prepare.load_decoded("usps", "train", "usps", settings)
    assert domain.records.stored(0) is None
    changed = 0
    for index in range(len(encoded)):
        expected = seen(encoded.records.load(index), geometry, "digits", seed)
        record = domain.records.load(tf.constant(index))
        np.testing.assert_array_equal(seen(record, geometry, "digits", seed), expected)
        changed += not np.array_equal(expected, record)
    assert changed == len(encoded)


def test_damaged_pixels_are_made_anew(copies, tmp_path):
    small = dataclasses.replace(copies[0], image_size=8, resize_size=8, augmentation="none")
    expected = _pixels(prepare.load_decoded("usps", "train", "usps", small))
    (path,) = (tmp_path / "data").rglob("pixels-train-8.npy")
    for content in (b"", path.read_bytes()[:-5]):
        path.write_bytes(content)
        np.testing.assert_array_equal(_pixels(prepare.load_decoded("usps", "train", "usps", small)), expected)
    assert not list(path.parent.glob("*.npy.*"))


@pytest.mark.parametrize("changed", [{"augmentation": "standard"}, {"resize_size": 40}])
def test_images_stay_encoded_where_crops_are_taken(copies, changed):
    settings = dataclasses.replace(
        copies[0], **{"image_size": 32, "resize_size": 32, "augmentation": "none", **changed}
    )
    assert prepare.load_decoded("usps", "train", "usps", settings).records.stored(0)


def test_usps_of_another_length(tmp_path):
    _write_usps(tmp_path / "zip.train.gz", [1, 2], np.zeros((2, 256)))
    with pytest.raises(DataError, match=r"514 .*expected 3 lines"):
        read_text(str(tmp_path / "zip.train.gz"), 3)


@pytest.mark.parametrize(("label", "value"), [(10, 0.0), (0.5, 0.0), (1, 1.5)])
def test_usps_out_of_range(tmp_path, label, value):
    _write_usps(tmp_path / "zip.train.gz", [label], np.full((1, 256), value))
    with pytest.raises(DataError, match="out of range"):
        read_text(str(tmp_path / "zip.train.gz"), 1)


def test_usps_that_is_no_gzip(tmp_path):
    (tmp_path / "zip.train.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="not USPS"):
        read_text(str(tmp_path / "zip.train.gz"), 1)


def test_npz_of_something_else(tmp_path, monkeypatch):
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros((3, 28, 28), np.uint8), y_train=np.zeros(3))
    with pytest.raises(DataError, match=r"\(uint8 \(3, 28, 28\).*expected x_train, uint8 \(60000, 28, 28\)"):
        prepare.prepared_builder("mnist_npz", DataSettings(manual_dir=str(tmp_path), data_dir=str(tmp_path / "data")))
