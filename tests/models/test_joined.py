"""Several frozen backbones joined: the rows are those of each alone, of length 1, side by side; in Keras's layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes, settings
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.records import ArrayRecords
from gsda_tf.errors import UserError
from gsda_tf.models import backbones
from gsda_tf.models.classifier import build_classifier
from gsda_tf.models.extractor import build_extractor
from gsda_tf.runs import code
from gsda_tf.serving.other_formats import one_model
from gsda_tf.settings import ModelSettings
from gsda_tf.training.experiment import Experiment
from tests import rounding


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two saved networks, of images of 8 and of 12 pixels, whose outputs are a map and a vector."""
    folder = tmp_path_factory.mktemp("networks")
    for name, size, pool in (("small", 8, False), ("large", 12, True)):
        inputs = keras.Input([size, size, 3])
        x = keras.layers.Conv2D(5, 3, strides=2, activation="relu", name=f"{name}_conv")(inputs)
        x = keras.layers.GlobalAveragePooling2D(name=f"{name}_pool")(x) if pool else x
        keras.Model(inputs, x, name=name).save(folder / f"{name}.keras")
    return ",".join(str(folder / f"{name}.keras") for name in ("small", "large"))


def _settings(files, **changes):
    base = {"extractor": files, "weights": "none", "freeze_backbone": True, "bottleneck_units": 4}
    return ModelSettings(**{**base, "preprocessing": "zero_to_one,torch", **changes})


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3), np.uint8)


def test_the_rows_are_those_of_each_at_its_own_size_and_scale(files, images):
    extractor = build_extractor(_settings(files), 12)
    expected = []
    for path, preprocessing, size in zip(files.split(","), ("zero_to_one", "torch"), (8, 12)):
        network = keras.models.load_model(path)
        x = tf.image.resize(tf.cast(images, tf.float32), [size, size])
        x = x / 255.0 if preprocessing == "zero_to_one" else backbones.PREPROCESSING[preprocessing](x)
        rows = np.asarray(network(x)).reshape(len(images), -1, 5).mean(axis=1)
        expected.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    expected = np.concatenate(expected, axis=1)
    assert rounding.distance(expected, extractor.embed(images)) < rounding.FORWARD
    assert [part.embedding_units for part in extractor.parts] == [5, 5]
    assert backbones.own_size(files) == 12


def test_larger_images_are_larger_for_each_but_for_a_saved_network(files):
    names = f"{files.split(',')[0]},small_cnn"
    own = backbones.own_size("small_cnn")
    for size in (own, 2 * own):
        extractor = build_extractor(_settings(names, preprocessing="none"), size)
        assert [part.backbone.input_shape[1] for part in extractor.parts] == [8, size]
        assert extractor.embed(np.zeros((2, size, size, 3), np.uint8)).shape[0] == 2


def test_each_is_kept_by_itself_and_found_by_a_run_of_it_alone(files, images, tmp_path):
    labels = np.arange(len(images), dtype=np.int32) % 2
    data = TaskData("t", *(DomainData(name, ArrayRecords(images, name), labels) for name in "ab"), ("p", "q"))
    base = {"weights": "none", "freeze_backbone": True, "image_size": 12, "resize_size": 12, "bottleneck_units": 4}
    base |= {"feature_cache_dir": str(tmp_path), "discriminator_units": (3,), "method": "source_only"}
    both = recipes.written({**base, "extractor": files, "preprocessing": "zero_to_one,torch"})
    experiment = Experiment(both, data, tf.distribute.get_strategy())
    every = np.arange(len(images))
    rows = experiment.inputs.target.records.samples(every)
    assert rounding.distance(rows, experiment.extractor.embed(images)) < rounding.FORWARD
    some = experiment.inputs.target.chosen(np.array([4, 1]))
    np.testing.assert_array_equal(some.records.samples(every[:2]), rows[[4, 1]])
    kept = sorted(tmp_path.glob("*/*.npy"))
    assert len(kept) == 2
    one = recipes.written({**base, "extractor": files.split(",")[1], "preprocessing": "torch"})
    Experiment(one, data, tf.distribute.get_strategy()).inputs  # noqa: B018
    assert sorted(tmp_path.glob("*/*.npy")) == kept


def test_a_file_of_several_that_has_changed_is_told(files):
    now = recipes.written({"extractor": files, "weights": "none", "freeze_backbone": True})
    then = code.digests(now)
    assert code.changes(then, now) == ""
    first, second = then["extractor"].split(",")
    assert "--extractor=" in code.changes({**then, "extractor": f"{first},{second[::-1]}"}, now)


def test_one_keras_model_holds_them_all(files, images):
    extractor, classifier = build_extractor(_settings(files), 12), build_classifier(4, 3)
    alone = one_model(extractor, classifier, (12, 12, 3))
    expected = tf.nn.softmax(classifier(extractor(images)))
    assert rounding.distance(expected, alone(tf.cast(images, tf.float32))) < rounding.FORWARD


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"freeze_backbone": False}, "several are joined where frozen"),
        ({"weights": "none,none,none"}, "--weights=none,none,none names 3, but"),
        ({"preprocessing": "auto,auto,auto"}, "--preprocessing=auto,auto,auto names 3"),
    ],
)
def test_what_does_not_fit_is_told(files, change, told):
    with pytest.raises(UserError, match=told):
        backbones.check(_settings(files, **change))


def test_each_is_named_once_and_known():
    with pytest.raises(UserError, match="names a backbone twice"):
        backbones.check(_settings("resnet50,resnet50", preprocessing="auto"))
    with pytest.raises(UserError, match="resnet51"):
        backbones.check(_settings("densenet169,resnet51", preprocessing="auto"))


def test_a_list_in_python_is_one_with_commas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"extractor": ["densenet169", "mine.keras"], "preprocessing": "auto,torch"}
    made = settings.converted(given, settings.fields())
    assert made == {"extractor": f"densenet169,{tmp_path}/mine.keras", "preprocessing": "auto,torch"}
    assert settings.several(made["extractor"]) == ("densenet169", f"{tmp_path}/mine.keras")
    (tmp_path / "a,b.h5").touch()  # one file, as it is there
    assert settings.converted({"weights": "a,b.h5"}, settings.fields()) == {"weights": f"{tmp_path}/a,b.h5"}
    with pytest.raises(UserError, match="Unknown --preprocessing 'torhc': expected one of"):
        settings.converted({"preprocessing": "auto,torhc"}, settings.fields())
