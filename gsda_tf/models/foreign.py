"""Backbones that are programs: presets of KerasHub.

Loading one may run what its author put into it, so none is touched before the user says that it is trusted.
"""

import tensorflow as tf

from gsda_tf.errors import UserError, explained
from gsda_tf.settings import ModelSettings

_HUB = "keras_hub:"


def is_foreign(name: str) -> bool:
    """Returns whether an extractor, or one of several, is called like a preset."""
    return _HUB in name


def check_trusted(settings: ModelSettings) -> None:
    """Raises UserError if the extractor is somebody's program, and the user has not said that it may run."""
    name = settings.extractor
    if is_foreign(name) and not settings.trust_extractor:
        raise UserError(
            f"--extractor={name} is a program, which can do whatever you can do: look where it comes from, and say "
            "--trust_extractor if you trust its author."
        )


def load(name: str, image_size: int):
    """Loads a model, float32 [N, S, S, 3] -> features or a map of them, and what brings images in 0..255 to its input.

    Raises:
      UserError: it cannot be loaded, or does not take such images.
    """
    with explained(f"--extractor={name} was not loaded", "Expected a preset, and keras-hub (pip install keras-hub)."):
        import keras_hub

        preset = name.removeprefix(_HUB)
        model = keras_hub.models.Backbone.from_preset(preset)
        scale = keras_hub.layers.ImageConverter.from_preset(preset, image_size=(image_size, image_size))
        features = model(scale(tf.zeros([1, image_size, image_size, 3])))
        if not isinstance(features, tf.Tensor) or features.shape.rank not in (2, 3, 4) or features.shape[0] != 1:
            raise ValueError("it makes no row of features, and no map of them, of each image")
        return model, scale
