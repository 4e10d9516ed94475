"""Real copies of Office-31, MNIST and USPS, where environment variable GSDA_REAL_DATA names their folder."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.datasets import get_benchmark
from gsda_tf.settings import DataSettings

REAL = os.environ.get("GSDA_REAL_DATA", "")
pytestmark = pytest.mark.skipif(not REAL, reason="GSDA_REAL_DATA names no folder with real images")


@pytest.fixture(scope="session")
def settings(tmp_path_factory) -> DataSettings:
    """The whole folder is given: the sets in it are found."""
    return DataSettings(manual_dir=REAL, data_dir=str(tmp_path_factory.mktemp("data")))


def test_office31_without_the_level_images(settings):
    data = get_benchmark("office31").task("A_W", settings)
    assert (len(data.source), len(data.target)) == (2817, 795)
    assert tf.io.decode_image(data.source.records.load(0)).shape == (300, 300, 3)


def test_office31_in_the_official_layout_is_the_same(settings, tmp_path):
    for domain in ("amazon", "dslr", "webcam"):
        (tmp_path / "domain_adaptation_images" / domain).mkdir(parents=True)
        link = tmp_path / "domain_adaptation_images" / domain / "images"
        link.symlink_to(os.path.join(os.path.abspath(REAL), "office31", domain))
    official = DataSettings(manual_dir=str(tmp_path), data_dir=str(tmp_path / "data"))
    ours, theirs = (get_benchmark("office31").task("D_W", s) for s in (settings, official))
    for a, b in ((ours.source, theirs.source), (ours.target, theirs.target)):
        np.testing.assert_array_equal(a.labels, b.labels)
        for index in range(0, len(a), 50):
            assert a.records.load(index).numpy() == b.records.load(index).numpy()


def test_office31_partial(settings):
    sizes = {code: len(get_benchmark("office31_partial").task(f"{source}_{code}", settings).target)
             for source, code in (("W", "A"), ("A", "W"), ("A", "D"))}  # fmt: skip
    assert sizes == {"A": 958, "W": 295, "D": 157}


def test_mnist_and_usps(settings):
    data = get_benchmark("digits").task("Mn_Us", settings)
    assert (len(data.source), len(data.target)) == (60_000, 7291)
    assert np.bincount(data.target.labels).tolist() == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
