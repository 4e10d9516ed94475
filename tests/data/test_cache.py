"""Decoded images that are kept: the same batches as without."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.data import cache, images
from gsda_tf.data.batches import TrainingBatches, evaluation_batches
from gsda_tf.datasets import loading
from tests.data.pictures import encoded, folders, picture, write_domain

_SIZES = {"image_size": 56, "resize_size": 64, "source_batch": 6, "target_batch": 6}


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Small, fitting and large images of several formats in two domains."""
    root = tmp_path_factory.mktemp("photos")
    for number, name in enumerate(("source", "target")):
        write_domain(root / name, {"a": 2, "b": 3}, first=10 * number)
        for height, width in ((56, 56), (70, 300), (301, 283), (700, 601)):
            pixels = tf.constant(picture(height, height, width))
            (root / name / "a" / f"{height}.jpg").write_bytes(tf.io.encode_jpeg(pixels, quality=80).numpy())
            (root / name / "b" / f"{height}.png").write_bytes(tf.io.encode_png(pixels).numpy())
        (root / name / "b" / "grey.gif").write_bytes(encoded("GIF", 3, mode="L"))
    return root


def _batches(photos, kept: str) -> list[np.ndarray]:
    """Of training and of evaluation; read a second time, nothing is decoded that is kept."""
    settings = folders(photos / "source", photos / "target", cache=kept, **_SIZES)
    data = loading.load(settings)
    training = TrainingBatches(data, settings, 3, images=("source",)).dataset(0, 3)
    evaluation = evaluation_batches(data.target, settings, 5)

    def read() -> list[np.ndarray]:
        return [*(batch["source_images"].numpy() for batch in training), *(batch.numpy() for batch in evaluation)]

    result = read()
    if kept == "memory":
        look = cache.MemoryStore.kept

        def no_more(store, place, decoded=None):
            assert decoded is None
            return look(store, place)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cache.MemoryStore, "kept", no_more)
            _assert_same(read(), result)
    return result


def _assert_same(got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(got) == len(expected)
    for one, other in zip(expected, got):
        np.testing.assert_array_equal(one, other)


def test_batches_are_the_same_with_and_without(photos):
    _assert_same(_batches(photos, "memory"), _batches(photos, "none"))


def test_some_of_the_images_are_looked_up_as_such(photos):
    """Left out, drawn again in another order, or evaluated in part: each keeps its own pixels."""
    chosen = np.asarray([7, 2, 2, 5])
    read = []
    for kept in ("none", "memory"):
        settings = folders(photos / "source", photos / "target", cache=kept, **_SIZES)
        data = loading.load(settings)
        part = data.source.chosen(chosen).chosen(np.asarray([3, 0, 1]))
        domains = [part]
        if kept == "memory":
            domains.append(dataclasses.replace(part, records=part.records.kept(cache.MemoryStore())))
        for batches in (evaluation_batches(domain, settings, 3) for domain in domains):
            for _ in range(2):
                (batch,) = batches.as_numpy_iterator()
                read.append(batch)
        assert [part.records.name(i) for i in range(3)] == [data.source.records.name(i) for i in (5, 7, 2)]
    for one in read[1:]:
        np.testing.assert_array_equal(one, read[0])


def test_full_memory_keeps_no_more(monkeypatch, capsys):
    monkeypatch.setattr(cache, "_memory_left", lambda: 0.05)
    store = cache.MemoryStore()
    assert store.kept(0, picture()).shape == picture().shape
    assert store.kept(0).size == 0 and "nearly full" in capsys.readouterr().out


def test_a_crop_is_a_slice_of_the_whole(photos):
    geometry = images.ImageGeometry(56, 64)
    for name in ("70.jpg", "301.jpg", "700.jpg"):
        record = tf.constant((photos / "source" / "a" / name).read_bytes())
        whole = images.decode(record, geometry).numpy()
        height, width = whole.shape[:2]
        crop = images.crop_pixels(record, tf.constant([0.25, 0.5, 0.5, 0.25]), geometry).numpy()
        top, left = round(0.25 * height), round(0.5 * width)
        np.testing.assert_array_equal(crop, whole[top : top + len(crop), left : left + crop.shape[1]])
