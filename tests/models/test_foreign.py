"""Extractors that are programs: run only where they are trusted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.errors import UserError
from gsda_tf.models import backbones
from gsda_tf.models.extractor import build_extractor
from gsda_tf.settings import ModelSettings
from tests import rounding

SETTINGS = ModelSettings(weights="none", bottleneck_units=4, freeze_backbone=True, trust_extractor=True)


def _build(path, **changes):
    return build_extractor(dataclasses.replace(SETTINGS, extractor=path, **changes), 8)


def test_is_not_run_unless_it_is_trusted():
    for check in (backbones.check, lambda settings: build_extractor(settings, 8)):
        with pytest.raises(UserError, match="trust_extractor"):
            check(dataclasses.replace(SETTINGS, extractor="keras_hub:any", trust_extractor=False))


def test_a_missing_library_is_told():
    with pytest.raises(UserError, match=r"keras_hub:no_such_preset.*(pip install keras-hub|was not loaded)"):
        _build("keras_hub:no_such_preset")


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
