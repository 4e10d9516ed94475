"""The smallest experiment there is, for tests of methods: 4x4 noise, four classes."""

import numpy as np
import tensorflow as tf

from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.records import ArrayRecords
from tests.rounding import single

R, NS, NT, D, SIZE = 4, 5, 6, 8, 4
SMALL = {
    "extractor": "small_cnn", "weights": "none", "image_size": SIZE, "resize_size": SIZE, "bottleneck_units": D,
    "discriminator_units": (6, 5), "steps": 10, "source_batch": NS, "target_batch": NT, "augmentation": "none",
    "backbone_rate": 1.0, "momentum": 0.0, "weight_decay": 0.0, "rate_decay": 0.0, "learning_rate": 0.1,
}  # fmt: skip


def task(classes=R, source=12, target=12, seed=0, size=SIZE):
    """Noise with labels that mean nothing."""
    rng = np.random.default_rng(seed)

    def domain(name, count):
        images = rng.integers(0, 256, (count, size, size, 3)).astype(np.uint8)
        return DomainData(name, ArrayRecords(images, name), (np.arange(count) % classes).astype(np.int32))

    return TaskData("t", domain("a", source), domain("b", target), tuple("pqrstuvw"[:classes]))


def experiment(method, data=None, strategy=None, package=single, **changes):
    """An `Experiment` of a method with small settings; `changes` may hold its options.

    `package` is `rounding.single` or `rounding.double`.
    """
    settings = package("recipes").written({**SMALL, "method": method, **changes})
    return package("training.experiment").Experiment(settings, data or task(), strategy or tf.distribute.get_strategy())


def batch(labels=(0, 1, 2, 3, 1), seed=0, images=("source", "target"), target=NT):
    """What a step is fed."""
    rng = np.random.default_rng(seed)
    sizes = {"source": len(labels), "target": target, "target_again": target}
    shapes = {name: (sizes[name], SIZE, SIZE, 3) for name in images}
    fed = {f"{name}_images": tf.constant(rng.integers(0, 256, shape), tf.uint8) for name, shape in shapes.items()}
    if "target" in images:
        fed["target_indices"] = (seed + tf.range(target, dtype=tf.int64)) % 12
    return {**fed, "source_labels": tf.constant(labels, tf.int32)}


def values(model):
    """Of its trained variables."""
    return [np.asarray(v) for v in model.trainable_variables]
