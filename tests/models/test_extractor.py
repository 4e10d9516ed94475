"""E: what goes in, what comes out, in which precision."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import compat
from gsda_tf.errors import UserError
from gsda_tf.models.classifier import build_classifier
from gsda_tf.models.extractor import build_extractor, pool
from gsda_tf.settings import ModelSettings
from tests import rounding


def _extractor(precision="float32", **changes):
    settings = ModelSettings(extractor="small_cnn", weights="none", bottleneck_units=5, **changes)
    return compat.seeded(0, lambda: build_extractor(settings, 8, precision))


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_features_are_float32_whatever_the_backbone_computes_in(images, precision):
    extractor = _extractor(precision)
    features = extractor(images)
    assert features.shape == (3, 5) and features.dtype == tf.float32
    assert np.asarray(features).min() >= 0  # the bottleneck ends in a ReLU


def test_embeddings_stand_in_for_images(images):
    extractor = _extractor()
    assert rounding.distance(extractor(extractor.embed(images)), extractor(images)) < rounding.FORWARD


def test_a_normalized_bottleneck_keeps_its_scale_and_couples_no_samples(images):
    plain, normalized = _extractor(bottleneck_norm="none"), _extractor()
    x = tf.random.stateless_normal([6, normalized.embed(images).shape[1]], [0, 0])
    features = np.asarray(normalized(x, training=True))
    assert features.shape == (6, 5) and features.dtype == np.float32 and features.min() >= 0
    # Mean 0 and variance 1 before the ReLU: no feature is longer than sqrt(d), however large its input.
    np.testing.assert_allclose(normalized(100.0 * x), features, atol=0.05)
    longest = [np.linalg.norm(extractor(100.0 * x), axis=1).max() for extractor in (normalized, plain)]
    assert longest[0] <= 5**0.5 + 1e-4 < longest[1]
    assert rounding.distance(normalized(x[:2], training=True), features[:2]) < rounding.FORWARD


def test_a_bottleneck_with_batch_norm_has_features_of_mean_and_variance_of_the_batch(images):
    extractor = _extractor(bottleneck_norm="batch")
    x = 7.0 + 3.0 * tf.random.stateless_normal([9, extractor.embed(images).shape[1]], [0, 0])
    dense = extractor.bottleneck.layers[0](x).numpy().astype(np.float64)
    expected = (dense - dense.mean(0)) / np.sqrt(dense.var(0) + 1e-5)
    assert rounding.distance(extractor(x, training=True), np.maximum(expected, 0)) < rounding.FORWARD
    # What is served takes what was seen of batches: a tenth of this one, and nine of the start's mean 0 and variance 1.
    later = (dense - 0.1 * dense.mean(0)) / np.sqrt(0.9 + 0.1 * dense.var(0) + 1e-5)
    assert rounding.distance(extractor(x), np.maximum(later, 0)) < 10 * rounding.FORWARD


def test_bytes_and_floats_are_the_same_image(images):
    extractor = _extractor()
    np.testing.assert_array_equal(extractor(images), extractor(images.astype(np.float32)))


def test_pool_averages_what_lies_between():
    x = tf.random.stateless_normal([2, 3, 4, 5], [0, 0])
    assert rounding.distance(pool(x), x.numpy().mean((1, 2))) < rounding.FORWARD
    assert pool(x[:, 0, 0]) is not None and pool(x[:, 0, 0]).shape == (2, 5)


def test_same_seed_same_weights():
    for one, other in zip(_extractor().variables, _extractor().variables):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_a_size_the_backbone_cannot_read_is_told():
    with pytest.raises(UserError, match="at --image_size=8"):
        build_extractor(ModelSettings(extractor="mobilenet_0.25", weights="none"), 8)


def test_classifier_gives_logits():
    assert build_classifier(5, 7)(tf.zeros([2, 5])).shape == (2, 7)
