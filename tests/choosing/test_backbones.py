"""Backbones are compared by the source alone, as a slow reference does; the one that sees the class wins."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes
from gsda_tf.choosing import backbones
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.records import ArrayRecords
from gsda_tf.errors import UserError


def test_each_image_is_held_against_means_that_it_is_no_part_of():
    rng = np.random.default_rng(0)
    labels = np.array([0, 2, 2, 5, 0, 2, 5, 0, 5, 7])  # of class 7 there is one
    features = rng.normal(size=(10, 6)) + 0.6 * rng.normal(size=(8, 6))[labels]
    roots = np.sign(features) * np.sqrt(np.abs(features))
    roots = roots / np.linalg.norm(roots, axis=1, keepdims=True)
    expected = []
    for i in np.flatnonzero(labels != 7):
        means = {c: roots[(labels == c) & (np.arange(10) != i)].mean(axis=0) for c in (0, 2, 5, 7)}
        alike = {c: roots[i] @ mean / np.linalg.norm(mean) for c, mean in means.items()}
        expected.append(max(alike, key=alike.get) == labels[i])
    found = backbones.nearest_without_itself(features, labels)
    assert found.tolist() == expected and 0 < np.mean(expected) < 1
    np.testing.assert_array_equal(found, backbones.nearest_without_itself(3.0 * features, labels))
    with pytest.raises(UserError, match="two images"):
        backbones.nearest_without_itself(features[:2], np.array([0, 1]))


def test_the_one_that_sees_the_class_is_best_and_what_is_level_is_said(tmp_path):
    """The class is the colour; the corner, which the other network sees, is any."""
    rng, names = np.random.default_rng(0), ("colour", "corner")
    labels = np.arange(24, dtype=np.int32) % 3
    images = (40 + 20 * rng.random((24, 8, 8, 3)) + 120 * np.eye(3)[labels][:, None, None]).astype(np.uint8)
    images[:, 0, 0] = rng.integers(0, 256, (24, 3))
    inputs = keras.Input([8, 8, 3])
    looks = (keras.layers.GlobalAveragePooling2D(), keras.layers.Cropping2D(((0, 7), (0, 7))))
    for name, look in zip(names, looks):
        keras.Model(inputs, look(inputs), name=name).save(tmp_path / f"{name}.keras")
    paths = [str(tmp_path / f"{name}.keras") for name in names]
    hidden = np.full(24, -1, np.int32)
    data = TaskData(
        "t", *(DomainData(n, ArrayRecords(images, n), y) for n, y in (("a", labels), ("b", hidden))), ("p", "q", "r")
    )
    settings = recipes.written({
        "extractor": ",".join(paths), "weights": "none", "preprocessing": "zero_to_one", "freeze_backbone": True,
        "image_size": 8, "resize_size": 8, "feature_cache_dir": str(tmp_path / "features"),
    })  # fmt: skip
    with tf.device("CPU"):
        said = backbones.compare(settings, data)
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in said.splitlines()[2:5]]
    assert [rows[0], rows[2][0]] == [[paths[0], "100.0 %"], paths[1]]
    assert f"Best on the source, without a label of the target: {paths[0]}" in said
    assert paths[1] not in said.splitlines()[-1]  # it is not level
