"""Training on the features of a frozen backbone: the same features, found again, wherever the images lie."""

import glob
import os

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.features import FeatureRecords
from gsda_tf.data.records import ArrayRecords, FileRecords
from gsda_tf.training.experiment import Experiment
from tests import rounding


def _settings(folder, **changes):
    base = {
        "extractor": "small_cnn", "weights": "none", "image_size": 8, "resize_size": 10, "bottleneck_units": 6,
        "discriminator_units": (5,), "num_groups": (2,), "steps": 5, "source_batch": 4, "target_batch": 4,
        "freeze_backbone": True, "feature_cache_dir": str(folder / "cache"), "evaluation_batch": 3,
    }  # fmt: skip
    return recipes.written({**base, **changes})


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 12, 12, 3), np.uint8)


def _data(images, records=None):
    labels = np.arange(len(images), dtype=np.int32) % 2
    source = DomainData("a", records or ArrayRecords(images, "a"), labels)
    return TaskData("t", source, DomainData("b", ArrayRecords(images[::-1].copy(), "b"), labels), ("p", "q"))


def _experiment(settings, data):
    return Experiment(settings, data, tf.distribute.get_strategy())


def _count(monkeypatch):
    """How many images go through the backbone."""
    seen = []
    from gsda_tf.training import frozen

    original = frozen.Sharded.__call__
    monkeypatch.setattr(
        frozen.Sharded,
        "__call__",
        lambda self, domain, *rest: seen.append(len(domain)) or original(self, domain, *rest),
    )
    return seen


def test_features_are_the_backbones_and_are_computed_once(tmp_path, images, monkeypatch):
    seen = _count(monkeypatch)
    settings = _settings(tmp_path)
    experiment = _experiment(settings, _data(images))
    every = np.arange(7)
    features = experiment.inputs.source.records.samples(every)
    from gsda_tf.data.batches import evaluation_batches

    whole = next(iter(evaluation_batches(experiment.data.source, settings.data, 7)))
    assert rounding.distance(features, experiment.extractor.embed(whole)) < rounding.FORWARD
    # The target is the same images in another order: nothing is computed for it, nor by a second run.
    np.testing.assert_array_equal(experiment.inputs.target.records.samples(every)[::-1], features)
    assert seen == [7]
    again = _experiment(settings, _data(images))
    np.testing.assert_array_equal(again.inputs.source.records.samples(every), features)
    assert seen == [7]


def test_the_same_files_elsewhere_are_found_and_changed_ones_are_not(tmp_path, images, monkeypatch):
    seen = _count(monkeypatch)

    def files(folder, pictures):
        os.makedirs(tmp_path / folder)
        paths = [str(tmp_path / folder / f"{i}.png") for i in range(len(pictures))]
        for path, picture in zip(paths, pictures):
            tf.io.write_file(path, tf.io.encode_png(picture))
        return FileRecords(paths)

    first = _experiment(_settings(tmp_path), _data(images, files("one", images))).inputs
    assert seen == [7, 7]  # files and pixels are different contents
    changed = images.copy()
    changed[2] = 0
    second = _experiment(_settings(tmp_path), _data(images, files("two", changed))).inputs
    assert seen == [7, 7, 1]
    same = np.arange(7) != 2
    first, second = (inputs.source.records.samples(np.arange(7)) for inputs in (first, second))
    np.testing.assert_array_equal(first[same], second[same])


@pytest.mark.parametrize("change", [{"seed": 5}, {"resize_size": 9}, {"preprocessing": "zero_to_one"}])
def test_another_backbone_or_preprocessing_has_features_of_its_own(tmp_path, images, monkeypatch, change):
    seen = _count(monkeypatch)
    _ = _experiment(_settings(tmp_path), _data(images)).inputs
    _ = _experiment(_settings(tmp_path, **change), _data(images)).inputs
    assert seen == [7, 7]


def test_damaged_features_are_computed_again(tmp_path, images, monkeypatch, capsys):
    seen = _count(monkeypatch)
    every = np.arange(7)
    before = _experiment(_settings(tmp_path), _data(images)).inputs.source.records.samples(every)
    (path,) = glob.glob(str(tmp_path / "cache" / "*" / "*.npy"))
    with open(path, "r+b") as file:
        file.truncate(200)
    after = _experiment(_settings(tmp_path), _data(images)).inputs.source.records.samples(every)
    np.testing.assert_array_equal(before, after)
    assert seen == [7, 7] and path in capsys.readouterr().out


def test_the_backbone_stays_as_it_is_and_the_rest_learns(tmp_path, images):
    experiment = _experiment(_settings(tmp_path), _data(images))
    from gsda_tf.data.batches import TrainingBatches

    extractor = experiment.extractor
    backbone = [np.asarray(v) for v in extractor.backbone.variables]
    bottleneck = np.asarray(extractor.bottleneck.trainable_variables[0])
    batches = TrainingBatches(experiment.inputs, experiment.settings.data, seed=0)
    for i, batch in enumerate(batches.dataset(0, 2)):
        assert batch["source_images"].shape == (4, *experiment.input_spec.shape)
        experiment.training_step(batch, tf.constant(i, tf.int64))
    for before, after in zip(backbone, extractor.backbone.variables):
        np.testing.assert_array_equal(before, np.asarray(after))
    assert not np.allclose(bottleneck, np.asarray(extractor.bottleneck.trainable_variables[0]))


def test_features_must_fit_the_images(images):
    with pytest.raises(ValueError, match="expected \\[7, "):
        FeatureRecords(np.zeros((6, 4), np.float32), ArrayRecords(images, "a"))
