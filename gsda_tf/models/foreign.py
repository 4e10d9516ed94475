"""Backbones that are programs: SavedModel folders in TF-Hub's form, and presets of KerasHub.

Loading one may run what its author put into it, so neither is touched before the user says that it is trusted.
"""

import os

import keras
import tensorflow as tf

from gsda_tf.errors import UserError
from gsda_tf.files import path_digest
from gsda_tf.settings import ModelSettings, several

_HUB = "keras_hub:"


def is_foreign(name: str) -> bool:
    """Returns whether an extractor, or one of several, is called like a preset, or is a SavedModel folder."""
    folders = (each for each in several(name) if os.sep in each)
    return _HUB in name or any(os.path.isfile(os.path.join(each, "saved_model.pb")) for each in folders)


def check_trusted(settings: ModelSettings) -> None:
    """Raises UserError if the extractor is somebody's program, and the user has not said that it may run."""
    name = settings.extractor
    if is_foreign(name) and not settings.trust_extractor:
        raise UserError(
            f"--extractor={name} is a program, which can do whatever you can do: look where it comes from, and say "
            "--trust_extractor if you trust its author."
        )


def check_trained(settings: ModelSettings, model: keras.Model) -> None:
    """Raises UserError if the backbone is to be trained and is a SavedModel that names nothing to train."""
    if is_foreign(settings.extractor) and not settings.freeze_backbone and not model.trainable_variables:
        raise UserError(
            f"--extractor={settings.extractor} is a SavedModel without trainable_variables, which cannot be trained "
            "further: say --freeze_backbone."
        )


class SavedModel(keras.layers.Layer):
    """A SavedModel that is called with images.

    Where it names its `trainable_variables`, as those in TF-Hub's form do, they are trained; losses that it asks for
    besides (`regularization_losses`) are not added.

    Args:
      path: of its folder.
      image_size: S.
    """

    def __init__(self, path: str, image_size: int, **options):
        super().__init__(dtype="float32", **options)
        self._loaded, self._digest = tf.saved_model.load(path), path_digest(path)
        self._taught = list(getattr(self._loaded, "trainable_variables", ()))
        known = {id(variable) for variable in self._taught}
        self._kept = [v for v in getattr(self._loaded, "variables", ()) if self._taught and id(v) not in known]
        self.trainable = bool(self._taught)
        failures = []
        for ask in (self._by_training, lambda x, _: self._loaded(x), self._by_signature):
            self._ask = ask
            try:
                _features(ask(tf.zeros([1, image_size, image_size, 3]), False))
                return
            except (TypeError, ValueError, KeyError, AttributeError, tf.errors.OpError) as error:
                failures.append(error)
        raise ValueError(f"it is not called with images of {image_size}x{image_size}: {failures[0]}")

    def _by_training(self, images: tf.Tensor, training: bool):
        return self._loaded(images, training=training)

    def _by_signature(self, images: tf.Tensor, training: bool):
        signature = self._loaded.signatures["serving_default"]
        return signature(**dict.fromkeys(signature.structured_input_signature[1], images))

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Computes features [N, e], or a map of them [N, h, w, e], of images in 0..1, float32 [N, S, S, 3]."""
        return _features(self._ask(images, bool(training)))

    # Keras 3 does not look for variables that are TensorFlow's.
    @property
    def variables(self) -> list[tf.Variable]:
        """The variables that checkpoints hold; none of a model that is not trained."""
        return [*self._taught, *self._kept]

    weights = variables

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """The variables that the model itself says are trained."""
        return list(self._taught) if self.trainable else []

    trainable_weights = trainable_variables

    def get_config(self) -> dict:
        """Returns what tells it from any other: features are kept under that."""
        return {**super().get_config(), "digest": self._digest}


def _features(out) -> tf.Tensor:
    if isinstance(out, dict):
        out = out["default"] if "default" in out else out[next(iter(out))] if len(out) == 1 else out
    if not isinstance(out, tf.Tensor) or out.shape.rank not in (2, 3, 4):
        raise ValueError(f"expected features [N, e] or a map of them, but it answers {out}")
    return out


def load(name: str, image_size: int):
    """Loads a model, float32 [N, S, S, 3] -> features or a map of them, and what brings images in 0..255 to its input.

    Raises:
      UserError: it cannot be loaded, or does not take such images.
    """
    try:
        if not name.startswith(_HUB):
            inputs = keras.Input([image_size, image_size, 3])
            model = keras.Model(inputs, SavedModel(name, image_size)(inputs), name="saved_model")
            return model, lambda images: images / 255.0
        import keras_hub

        preset = name[len(_HUB) :]
        model = keras_hub.models.Backbone.from_preset(preset)
        scale = keras_hub.layers.ImageConverter.from_preset(preset, image_size=(image_size, image_size))
        if _features(model(scale(tf.zeros([1, image_size, image_size, 3])))).shape[0] != 1:
            raise ValueError("it makes no row of features of each image")
        return model, scale
    except ImportError as error:
        raise UserError(f"--extractor={name} needs keras-hub ({error}): pip install keras-hub.") from error
    except Exception as error:  # whatever somebody's program raises
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"--extractor={name} was not loaded: {reason}") from error
