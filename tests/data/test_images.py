"""Decoding, cropping and resizing in one go, against Pillow and against doing it step by step."""

import glob
import io
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gsda_tf.data import images
from gsda_tf.data.augmentation import random_box
from tests.data.pictures import bomb, encoded, picture

GEOMETRY = images.ImageGeometry(56, 64)


def _jpeg(height: int, width: int, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(1, height, width)).convert(mode).save(file, "JPEG", quality=95)
    return file.getvalue()


def _pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("kind, mode", [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "1")])
def test_decodes_as_pillow_does(kind, mode):
    data = encoded(kind, mode=mode)
    assert np.abs(images.decode(tf.constant(data)).numpy() - _pillow(data)).max() <= 2


def test_sixteen_bits_are_scaled_not_clipped():
    grey = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8, 1)
    decoded = images.decode(tf.io.encode_png(grey)).numpy()
    np.testing.assert_array_equal(decoded, np.repeat(grey >> 8, 3, axis=-1))


def test_header_bomb_is_refused_before_it_is_decoded():
    with pytest.raises(tf.errors.InvalidArgumentError, match="100,000,000 pixels"):
        images.decode(tf.constant(bomb()))


# A JPEG decoded at 1/2, 1/4 or 1/8 of its size is filtered by its blocks, not by the resize.
@pytest.mark.parametrize("height, width", [(40, 90), (70, 60), (150, 200), (300, 290), (700, 600)])
def test_evaluation_agrees_with_decoding_resizing_and_cropping(height, width):
    data = _jpeg(height, width)
    whole = Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.BILINEAR)
    expected = np.asarray(whole.crop((4, 4, 60, 60))).astype(int)
    got = images.seen(tf.constant(data), GEOMETRY).numpy()
    assert np.abs(got - expected).mean() <= 2
    np.testing.assert_allclose(
        images.evaluation_pixels(_pillow(data)[None].astype(np.uint8), GEOMETRY)[0], expected, atol=2
    )


@pytest.mark.parametrize("height, width", [(70, 60), (300, 290), (700, 600)])
def test_training_agrees_with_decoding_resizing_and_cropping(height, width):
    data = _jpeg(height, width)
    whole = Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.BILINEAR)
    for number in range(6):
        seed = tf.constant([3, number], tf.int64)
        (top, left, high, wide), flip = random_box(seed)[0].numpy() * 64, bool(random_box(seed)[1])
        box = (left, top, left + wide, top + high)
        expected = np.asarray(whole.resize((56, 56), Image.Resampling.BILINEAR, box=box)).astype(int)
        expected = expected[:, ::-1] if flip else expected
        got = images.seen(tf.constant(data), GEOMETRY, "standard", seed).numpy()
        assert np.abs(got - expected).mean() <= 4


@pytest.mark.parametrize("height, width", [(70, 300), (301, 283), (700, 601)])
def test_a_crop_is_a_slice_of_the_whole(height, width):
    record = tf.constant(_jpeg(height, width))
    whole = images.decode(record, GEOMETRY).numpy()
    crop = images.crop_pixels(record, tf.constant([0.25, 0.5, 0.5, 0.25]), GEOMETRY).numpy()
    top, left = round(0.25 * whole.shape[0]), round(0.5 * whole.shape[1])
    np.testing.assert_array_equal(crop, whole[top : top + len(crop), left : left + crop.shape[1]])


def test_pixels_of_the_networks_size_are_left_alone():
    pixels = picture(2, 56, 56)
    np.testing.assert_array_equal(images.seen(tf.constant(pixels), GEOMETRY), pixels)


REAL = os.environ.get("GSDA_REAL_DATA", "")


@pytest.mark.skipif(not REAL, reason="GSDA_REAL_DATA names no folder with real images")
@pytest.mark.parametrize("domain", ["amazon", "dslr", "webcam"])
def test_photographs_agree_with_decoding_resizing_and_cropping(domain):
    """Of Office-31, at the published sizes: 256x256, then 224x224."""
    geometry = images.ImageGeometry(224, 256)
    paths = sorted(glob.glob(os.path.join(REAL, "office31", domain, "*", "*.jpg")))[::60]
    assert paths
    training, evaluation = [], []
    for number, path in enumerate(paths):
        with open(path, "rb") as file:
            data = file.read()
        whole = Image.open(path).convert("RGB").resize((256, 256), Image.Resampling.BILINEAR)
        expected = np.asarray(whole.crop((16, 16, 240, 240))).astype(int)
        evaluation.append(np.abs(images.seen(tf.constant(data), geometry).numpy() - expected).mean())
        seed = tf.constant([7, number], tf.int64)
        (top, left, high, wide), flip = random_box(seed)[0].numpy() * 256, bool(random_box(seed)[1])
        box = (left, top, left + wide, top + high)
        expected = np.asarray(whole.resize((224, 224), Image.Resampling.BILINEAR, box=box)).astype(int)
        expected = expected[:, ::-1] if flip else expected
        got = images.seen(tf.constant(data), geometry, "standard", seed).numpy()
        training.append(np.abs(got - expected).mean())
    print(f"{domain}: evaluation {np.mean(evaluation):.2f} (at most {max(evaluation):.2f}), "
          f"training {np.mean(training):.2f} (at most {max(training):.2f}) of 255")  # fmt: skip
    assert np.mean(evaluation) <= 1 and max(evaluation) <= 4
    assert np.mean(training) <= 3 and max(training) <= 8


@pytest.mark.parametrize("pixels", [1, 70, 10**6])
def test_what_is_transparent_is_composed_alike_in_strips_of_any_size(pixels, monkeypatch):
    monkeypatch.setattr(images, "_PIXELS_AT_ONCE", pixels)
    image = np.random.default_rng(0).integers(0, 256, (13, 30, 4)).astype(np.uint8)
    colour, alpha = image[..., :3].astype(int), image[..., 3:].astype(int)
    expected = (colour * alpha + 255 * (255 - alpha) + 127) // 255
    decode = tf.function(lambda record: images.decode(record))
    np.testing.assert_array_equal(decode(tf.io.encode_png(image)), expected)
