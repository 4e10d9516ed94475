"""Extractors that are programs: run only where they are trusted, frozen, and told from one another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.errors import UserError
from gsda_tf.models import backbones
from gsda_tf.models.extractor import build_extractor
from gsda_tf.settings import ModelSettings
from gsda_tf.training.experiment import restore
from gsda_tf.training.frozen import _key
from tests import rounding
from tests.faults import inprocess
from tests.launch import commands

SETTINGS = ModelSettings(weights="none", bottleneck_units=4, freeze_backbone=True, trust_extractor=True)


class _Hub(tf.Module):
    """As TF-Hub's are: called with images in 0..1, and told whether it is trained."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = tf.Variable(factor)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32), tf.TensorSpec([], tf.bool)])
    def __call__(self, images, training):
        means = tf.reduce_mean(images, axis=[1, 2])
        return self.factor * tf.concat([means, 1 - means], axis=1)


class _Plain(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, name="pixels")])
    def serve(self, pixels):
        return {"map": 2 * pixels}


def _save(folder, module, **options) -> str:
    tf.saved_model.save(module, str(folder), **options)
    return str(folder)


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    return [_save(tmp_path_factory.mktemp("hub") / "m", _Hub(factor)) for factor in (1.0, 2.0)]


def _build(path, **changes):
    return build_extractor(dataclasses.replace(SETTINGS, extractor=path, **changes), 8)


def test_features_are_those_of_the_saved_model(saved):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    means = images.mean(axis=(1, 2)) / 255
    assert (
        rounding.distance(_build(saved[1]).embed(images), 2 * np.concatenate([means, 1 - means], 1)) < rounding.FORWARD
    )


def test_a_signature_serves_too(tmp_path):
    module = _Plain()
    path = _save(tmp_path / "m", module, signatures={"serving_default": module.serve})
    images = np.full((2, 8, 8, 3), 51, np.uint8)
    assert rounding.distance(_build(path).embed(images), np.full((2, 3), 0.4)) < rounding.FORWARD


def test_no_other_model_has_its_features(saved):
    from gsda_tf.settings import Settings

    settings = Settings(model=SETTINGS).replace({"image_size": 8, "resize_size": 8})
    assert len({_key(_build(path), settings) for path in (*saved, saved[0])}) == 2


def test_is_not_run_unless_it_is_trusted(saved, monkeypatch):
    monkeypatch.setattr(tf.saved_model, "load", lambda path: pytest.fail("it was loaded"))
    for check in (backbones.check, lambda settings: build_extractor(settings, 8)):
        with pytest.raises(UserError, match="trust_extractor"):
            check(dataclasses.replace(SETTINGS, extractor=saved[0], trust_extractor=False))


def test_is_not_trained_unless_it_says_that_it_can(saved):
    with pytest.raises(UserError, match=r"without trainable_variables.*say --freeze_backbone"):
        _build(saved[0], freeze_backbone=False)
    assert not _build(saved[0]).backbone.variables


@pytest.fixture(scope="session")
def trainable(tmp_path_factory):
    """One that is called otherwise in training, where it counts its calls."""

    class Trainable(_Hub):
        def __init__(self):
            super().__init__(1.5)
            self.calls = tf.Variable(0, trainable=False)
            self.trainable_variables, self.variables = [self.factor], [self.factor, self.calls]

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32), tf.TensorSpec([], tf.bool)])
        def __call__(self, images, training):
            self.calls.assign_add(tf.cast(training, tf.int32))
            return self.factor * tf.reduce_mean(images, axis=[1, 2])

    # Properties of tf.Module would be in the way.
    for name in ("trainable_variables", "variables"):
        setattr(Trainable, name, None)
    return _save(tmp_path_factory.mktemp("trainable") / "m", Trainable())


def test_what_says_that_it_can_be_trained_is(trainable, tmp_path):
    extractor = _build(trainable, freeze_backbone=False)
    assert [v.numpy() for v in extractor.backbone.variables] == [1.5, 0]
    (factor,) = extractor.backbone.trainable_variables
    images = np.full((2, 8, 8, 3), 51, np.uint8)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(extractor.embed(images, training=True))
    np.testing.assert_allclose(tape.gradient(loss, factor), 6 * 0.2, rtol=1e-5)
    extractor.embed(images)
    assert extractor.backbone.variables[1].numpy() == 1  # in training alone
    _train(trainable, tmp_path / "run", "--steps=4", "--nofreeze_backbone")
    factor, calls = restore(str(tmp_path / "run"), trust_extractor=True)[0].extractor.backbone.variables
    assert factor.numpy() != 1.5 and calls.numpy() >= 4


def test_a_model_of_something_else_is_told(tmp_path):
    module = tf.Module()
    module.names = tf.Variable(["a"])
    path = _save(tmp_path / "m", module)
    with pytest.raises(UserError, match="not called with images"):
        _build(path)
    with pytest.raises(UserError, match="not loaded"):
        (tmp_path / "m" / "saved_model.pb").write_bytes(b"x")
        _build(path)


def test_a_missing_library_is_told():
    with pytest.raises(UserError, match=r"keras_hub:no_such_preset.*(pip install keras-hub|was not loaded)"):
        _build("keras_hub:no_such_preset")


def _train(path, run, *flags):
    flags = (f"--extractor={path}", "--trust_extractor", "--method=source_only", f"--workdir={run}", *flags)
    small = [flag for flag in inprocess.SMALL if not flag.startswith("--num_groups")]
    inprocess.succeed("train", *small, "--task=digits/Fo_Ha", f"--data_dir={run.parent}", *flags)


def test_its_features_are_trained_on(saved, tmp_path):
    _train(saved[0], tmp_path / "run", "--freeze_backbone")
    assert commands.summary(tmp_path / "run")["accuracy/target"] is not None


def test_a_preset_of_keras_hub(tmp_path):
    hub = pytest.importorskip("keras_hub")
    backbone = hub.models.ResNetBackbone(
        input_conv_filters=[64], input_conv_kernel_sizes=[3], stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1], stackwise_num_strides=[1, 2], block_type="basic_block",
        image_shape=(None, None, 3),
    )  # fmt: skip
    backbone.save_to_preset(str(tmp_path / "preset"))
    scale = hub.layers.ResNetImageConverter(image_size=(8, 8), scale=1 / 255, offset=-0.5)
    scale.save_to_preset(str(tmp_path / "preset"))
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    expected = tf.reduce_mean(backbone(images / np.float32(255) - 0.5), axis=(1, 2))
    extractor = _build(f"keras_hub:{tmp_path / 'preset'}", freeze_backbone=False)
    assert rounding.distance(extractor.embed(images), expected) < rounding.FORWARD
    assert extractor.backbone.trainable_variables
