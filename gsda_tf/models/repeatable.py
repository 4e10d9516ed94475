"""Dropout whose masks follow from its seed and the number of masks drawn before.

The random state of Keras 2's dropout is hidden in TensorFlow's kernels, so a run that goes on from a checkpoint would
draw other masks than one that was never interrupted. Here the number is a variable of the model, which checkpoints
hold. Keras 3 keeps its random states in such variables itself.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import keras
import tensorflow as tf

from gsda_tf.compat import KERAS_3
from gsda_tf.errors import UserError


class RepeatableDropout(keras.layers.Layer):
    """`keras.layers.Dropout` that a checkpoint can go on with.

    Args:
      rate: share of the units that is dropped, 0 to 1.
      noise_shape: of the mask, None where it is the input's; None: the input's shape.
      seed: of the masks; None: drawn from Python's generator, which a run seeds.
    """

    def __init__(self, rate: float, noise_shape=None, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.noise_shape = noise_shape
        self.seed = random.getrandbits(31) if seed is None else seed
        self.drawn = self.add_weight(
            name="drawn",
            shape=[],
            dtype=tf.int64,
            initializer="zeros",
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Drops units if `training`, and scales the others up so that the sum is expected to stay."""
        if not training or not self.rate:
            return tf.identity(inputs)
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        shape = tf.shape(inputs)
        if self.noise_shape is not None:
            shape = tf.stack([shape[i] if size is None else size for i, size in enumerate(self.noise_shape)])
        seed = tf.stack([tf.cast(replica, tf.int64) * 2**32 + self.seed, tf.convert_to_tensor(self.drawn)])
        kept = tf.random.stateless_uniform(shape, seed) >= self.rate
        self.drawn.assign_add(1)
        scale = 0.0 if self.rate == 1 else 1 / (1 - self.rate)
        return inputs * (tf.cast(kept, inputs.dtype) * tf.cast(scale, inputs.dtype))

    def get_config(self) -> dict:
        """See the base class."""
        return {**super().get_config(), "rate": self.rate, "noise_shape": self.noise_shape, "seed": self.seed}


def repeatable(model: keras.Model) -> keras.Model:
    """Returns the same network with the same weights, whose dropout a checkpoint can go on with.

    Args:
      model: functional or sequential, if it has any dropout.

    Raises:
      UserError: it has random layers that cannot be replaced.
    """
    left = [] if KERAS_3 else [layer for layer in model.submodules if _is_random(layer)]
    if not left:
        return model
    with contextlib.suppress(ValueError):
        model = with_layers(model, keras.layers.Dropout, _repeatable)
        left = [layer for layer in model.submodules if _is_random(layer)]
    if left:
        raise UserError(
            f"The extractor {model.name} has a random layer that cannot be repeated after an interruption: "
            f"{left[0].name} ({type(left[0]).__name__}). Expected Dropout layers at most; save it without, or with a "
            "rate of 0."
        )
    return model


def _is_random(layer: tf.Module) -> bool:
    """Returns whether a layer draws random numbers while training."""
    if isinstance(layer, keras.layers.Dropout):
        return bool(layer.rate)
    if isinstance(layer, (keras.layers.GaussianNoise, keras.layers.GaussianDropout, keras.layers.AlphaDropout)):
        return True
    name = type(layer).__name__
    return name == "StochasticDepth" or (name.startswith("Random") and isinstance(layer, keras.layers.Layer))


def plain(model: keras.Model) -> keras.Model:
    """Returns the same network with the same weights in Keras's own layers, for inference.

    Args:
      model: that `repeatable` made.
    """
    if not any(isinstance(layer, RepeatableDropout) for layer in getattr(model, "submodules", ())):
        return model

    def replace(layer: RepeatableDropout) -> keras.layers.Layer:
        return keras.layers.Dropout(layer.rate, name=layer.name, dtype=layer.dtype_policy)

    return with_layers(model, RepeatableDropout, replace)


def _repeatable(layer: keras.layers.Dropout) -> RepeatableDropout:
    if type(layer) is not keras.layers.Dropout:
        raise ValueError("it drops whole channels")
    return RepeatableDropout(layer.rate, layer.noise_shape, layer.seed, name=layer.name, dtype=layer.dtype_policy)


def with_layers(
    model: keras.Model, kind: type | tuple[type, ...], replacement: Callable[[keras.layers.Layer], keras.layers.Layer]
) -> keras.Model:
    """Returns a copy whose layers of a kind are replaced; all other layers, and replacements alike, keep their weights.

    Args:
      model: functional or sequential; models in it are copied likewise.
      kind: of the layers.
      replacement: layer -> the one in its place.
    """

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return with_layers(layer, kind, replacement)
        return replacement(layer) if isinstance(layer, kind) else type(layer).from_config(layer.get_config())

    clone = keras.models.clone_model(model, clone_function=replace)
    for layer in model.layers:
        new = clone.get_layer(layer.name)
        if not isinstance(layer, keras.Model) and len(layer.weights) == len(new.weights):
            new.set_weights(layer.get_weights())
    return clone
