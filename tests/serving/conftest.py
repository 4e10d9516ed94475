"""Exports of these tests are asked in a process that takes no seconds to start; and one of two classes."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.data.images import ImageGeometry
from gsda_tf.models.classifier import build_classifier
from gsda_tf.models.extractor import build_extractor
from gsda_tf.serving.export import export_model
from gsda_tf.settings import ModelSettings


@pytest.fixture(scope="package", autouse=True)
def quick_check(quick_exports):
    """For all of them."""


@pytest.fixture(scope="package")
def cats_and_dogs(quick_check, tmp_path_factory):
    """Version 1 of an export of two classes, of images of 8 pixels."""
    settings = ModelSettings(extractor="small_cnn", weights="none", bottleneck_units=4)
    image = np.random.default_rng(0).integers(0, 256, (12, 14, 3), np.uint8)
    networks, root = (build_extractor(settings, 8), build_classifier(4, 2)), str(tmp_path_factory.mktemp("export"))
    sample = tf.io.encode_png(image).numpy()
    return export_model(*networks, ["cat", "dog"], ImageGeometry(8, 8), root, {}, [sample])
