"""TFDS's own test case for every builder, on the dummy data beside it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from gsda_tf.datasets.mnist_npz import mnist_npz_dataset_builder as mnist_npz
from gsda_tf.datasets.office31 import office31_dataset_builder as office31
from gsda_tf.datasets.office_home import office_home_dataset_builder as office_home
from gsda_tf.datasets.usps import usps_dataset_builder as usps
from gsda_tf.datasets.visda2017 import visda2017_dataset_builder as visda2017
from tests import state
from tests.datasets import fakes


class _OfTheDummies:
    """Lets the builder expect as many images as the dummy data have, so that its check of the counts runs too."""

    ATTRIBUTE: str

    @pytest.fixture(autouse=True)
    def seeds(self):
        """TFDS's test case sets NumPy's, and takes TensorFlow's away."""
        numbers = np.random.get_state()
        yield
        np.random.set_state(numbers)
        tf.random.set_seed(state.TENSORFLOW_SEED)

    @pytest.fixture(autouse=True)
    def expect_dummies(self, monkeypatch):
        monkeypatch.setattr(self.DATASET_CLASS, self.ATTRIBUTE, self.EXPECTED)

    def test_tells_what_the_conventions_ask_for(self):
        builder = self.DATASET_CLASS
        assert str(builder.VERSION) in builder.RELEASE_NOTES
        assert builder.MANUAL_DOWNLOAD_INSTRUCTIONS
        assert "@" in builder.get_metadata().citation
        assert len(builder.get_metadata().description) > 50


class Office31Test(_OfTheDummies, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = office31.Builder
    ATTRIBUTE, EXPECTED = "IMAGE_SET", fakes.small(office31.IMAGE_SET, 2, 3)
    SPLITS = {"amazon": 4, "dslr": 4, "webcam": 4}  # noqa: RUF012


class OfficeHomeTest(_OfTheDummies, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = office_home.Builder
    ATTRIBUTE, EXPECTED = "IMAGE_SET", fakes.small(office_home.IMAGE_SET, 2, 3)
    SPLITS = {"art": 4, "clipart": 4, "product": 4, "real_world": 4}  # noqa: RUF012


class Visda2017Test(_OfTheDummies, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = visda2017.Builder
    ATTRIBUTE, EXPECTED = "IMAGE_SET", fakes.small(visda2017.IMAGE_SET, 2, 3)
    SPLITS = {"train": 4, "validation": 4}  # noqa: RUF012


class UspsTest(_OfTheDummies, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = usps.Builder
    ATTRIBUTE, EXPECTED = "SIZES", {"train": 20, "test": 12}
    SPLITS = EXPECTED


class MnistNpzTest(_OfTheDummies, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = mnist_npz.Builder
    ATTRIBUTE, EXPECTED = "SIZES", {"train": 20, "test": 12}
    SPLITS = EXPECTED
