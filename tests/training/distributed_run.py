"""Trains small runs on several replicas, in float64: a process of its own for each strategy, because a process can have
one MirroredStrategy only. Called by test_distribution.py with settings of runs, one after the other. A change to the
code is for good, so what is changed comes last."""

import functools
import json
import sys

import keras
import numpy as np
import tensorflow as tf

from tests.methods import build
from tests.rounding import double, in_double

NUDGE = 1e-9


def add_extractors() -> None:
    """One convolution and pooling, "tiny"; with batch norm, "tiny_normalized"; with one more before, "tiny_second"."""
    backbones = double("models.backbones")

    def tiny(image_size, *normalization, first=()):
        layers = [keras.Input([image_size, image_size, 3]), *first]
        layers.append(keras.layers.Conv2D(6, 3, use_bias=not normalization, name="second" if first else None))
        layers += [*normalization, keras.layers.ReLU(), keras.layers.MaxPooling2D(2), keras.layers.Flatten()]
        return backbones.Backbone(keras.Sequential(layers), backbones.PREPROCESSING["minus_one_to_one"])

    backbones.OWN["tiny"] = tiny
    backbones.OWN["tiny_second"] = lambda size: tiny(size, first=[keras.layers.Conv2D(4, 3, activation="relu")])
    backbones.OWN["tiny_normalized"] = lambda size: tiny(size, keras.layers.BatchNormalization())


def nudged() -> None:
    """Every initial weight a billionth off: how much later steps make of a difference."""
    experiment = double("training.experiment").Experiment
    original = experiment.__init__

    def init(self, *given, **named):
        original(self, *given, **named)
        rng = np.random.default_rng(0)
        for name, group in self.state().items():
            for variable in group if not name.endswith("_velocities") else ():
                if variable.dtype.is_floating:
                    value = variable.numpy()
                    variable.assign(value + NUDGE * np.abs(value).max() * rng.choice([-1, 1], value.shape))

    experiment.__init__ = init


def gradients_summed_twice() -> None:
    """The optimizer is given gradients that were added up before, and adds them up."""
    optimizer = double("methods.optimizer").MomentumSGD
    original = optimizer.apply

    def apply(self, gradients, *rest):
        summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        return original(self, summed, *rest)

    optimizer.apply = apply


def main() -> None:
    add_extractors()
    training, distribution = double("training.run"), double("training.distribution")
    training.build_strategy = functools.lru_cache(maxsize=None)(distribution.build_strategy)
    runs = []
    for given in json.loads(sys.argv[1]):
        change = given.pop("change", None)
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        runs.append((double("recipes").written(values), change))
    # Once: TensorFlow has no other devices once it has computed.
    distribution.configure_devices(max((settings.device for settings, _ in runs), key=lambda d: d.virtual_devices))
    for settings, change in runs:
        if change:
            globals()[change]()
        training.train(settings, data=build.task(source=48, target=48, size=8))


if __name__ == "__main__":
    with in_double():
        main()
