"""`--sync_batch_norm`: two replicas train a backbone with batch norm as one does; without it they do not."""

import keras
import numpy as np
import pytest

from gsda_tf.models.backbones import synchronized
from tests.training.test_distribution import _assert_same, _finish, _start, _weights


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    keras.utils.set_random_seed(0)
    path = str(tmp_path_factory.mktemp("extractor") / "small.keras")
    layers = [keras.Input([8, 8, 3]), keras.layers.Conv2D(6, 3, use_bias=False), keras.layers.BatchNormalization()]
    keras.Sequential([*layers, keras.layers.ReLU(), keras.layers.Flatten()]).save(path)
    return path


def test_two_replicas_train_batch_norm_as_one(extractor, tmp_path):
    weights = {}
    runs = {
        "one": {"sync_batch_norm": True},
        "two": {"sync_batch_norm": True, "strategy": "mirrored", "virtual_devices": 2},
        "apart": {"strategy": "mirrored", "virtual_devices": 2},
    }
    for name, changes in runs.items():
        _finish(_start(tmp_path / name, {"extractor": extractor, **changes}))
        weights[name] = _weights(tmp_path / name)
    _assert_same(weights["one"], weights["two"])
    with pytest.raises(AssertionError):
        _assert_same(weights["one"], weights["apart"])


def test_the_copy_is_the_same_network():
    layers = [keras.Input([8, 8, 3]), keras.layers.Conv2D(6, 3), keras.layers.BatchNormalization()]
    model = keras.Sequential([*layers, keras.layers.Flatten()])
    model.layers[1].set_weights([np.full(6, v, np.float32) for v in (1.5, 0.3, -0.2, 0.8)])
    copy = synchronized(model)
    images = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(copy(images, training=False), model(images, training=False), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(copy(images, training=True), model(images, training=True), rtol=1e-4, atol=1e-5)
    assert copy.layers[1].synchronized and not model.layers[1].synchronized
