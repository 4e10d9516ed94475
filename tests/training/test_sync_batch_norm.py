"""`--sync_batch_norm`: three replicas train a backbone with batch norm as one does; without it they do not."""

import keras
import numpy as np

from gsda_tf.models.backbones import synchronized
from tests import rounding
from tests.training.distributed_run import NUDGE
from tests.training.test_distribution import MIRRORED, PLAIN, Runs, assert_others, assert_same


def test_three_replicas_train_batch_norm_as_one(tmp_path):
    synchronized = {**PLAIN, "extractor": "tiny_normalized", "sync_batch_norm": True}
    runs = Runs(
        tmp_path,
        {
            "one": synchronized,
            "three": {**synchronized, **MIRRORED},
            "apart": {**PLAIN, "extractor": "tiny_normalized", **MIRRORED},
            "nudged": {**synchronized, "change": "nudged"},
        },
    ).weights()
    growth = rounding.distance(runs["one"][0], runs["nudged"][0]) / NUDGE
    assert_same(runs["one"], runs["three"], growth)
    assert_others(runs["one"], runs["apart"], growth)


def test_the_copy_is_the_same_network():
    layers = [keras.Input([8, 8, 3]), keras.layers.Conv2D(6, 3), keras.layers.BatchNormalization()]
    model = keras.Sequential([*layers, keras.layers.Flatten()])
    model.layers[1].set_weights([np.full(6, v, np.float32) for v in (1.5, 0.3, -0.2, 0.8)])
    copy = synchronized(model)
    images = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype(np.float32)
    assert rounding.distance(copy(images, training=False), model(images, training=False)) < rounding.FORWARD
    assert rounding.distance(copy(images, training=True), model(images, training=True)) < rounding.FORWARD
    assert copy.layers[1].synchronized and not model.layers[1].synchronized
