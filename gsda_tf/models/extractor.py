"""The feature extractor E: preprocessing, backbone, pooling and bottleneck, equation (1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from gsda_tf import compat
from gsda_tf.errors import UserError, explained
from gsda_tf.models import backbones, foreign
from gsda_tf.models.cut import Cut, cut
from gsda_tf.settings import ModelSettings

_MOST_WEIGHTS = 2**27
"""Of a bottleneck; half a gigabyte."""


class Extractor(keras.Model):
    """E: images -> features f.

    Args:
      preprocess: float32 images in 0..255 -> what the backbone was trained on.
      backbone: a Keras model; whatever it gives is pooled to a vector.
      bottleneck: a layer, vector -> f.
      cut: of the backbone, if a part of it is frozen.
      parts: the backbones that it joins, if there are several.
    """

    def __init__(
        self,
        preprocess: Callable[[tf.Tensor], tf.Tensor],
        backbone: keras.Model,
        bottleneck: keras.layers.Layer,
        cut: Cut | None = None,
        parts: Sequence[backbones.Backbone] = (),
    ):
        super().__init__(name="extractor", dtype="float32")
        self.preprocess = preprocess
        self.backbone = backbone
        self.bottleneck = bottleneck
        self._cut = cut
        self._parts = lambda: parts  # whose variables Keras must not count twice

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Computes f of (1).

        Args:
          images: uint8 or float [N, S, S, 3], 0..255; or what `freeze` or `embed` made of them before.
          training: whether batch norm uses and updates the statistics of the batch.

        Returns:
          float32 [N, d].
        """
        return self.bottleneck(self.embed(images, training))

    @property
    def embedding_units(self) -> int:
        """e, width of the backbone's pooled output."""
        return int(self.backbone.output_shape[-1])

    def embed(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Computes the backbone's pooled output, float32 [N, e]; see `call`. What is frozen never trains."""
        if self._cut is None:
            if len(images.shape) == 2:
                return images
            x = self.preprocess(tf.cast(images, tf.float32))
            return pool(tf.cast(self.backbone(x, training=training), tf.float32))
        border = images if tuple(images.shape[1:]) == self.border else self.freeze(images)
        return pool(tf.cast(self._cut.rest(tf.cast(border, tf.float32), training=training), tf.float32))

    def freeze(self, images: tf.Tensor) -> tf.Tensor:
        """Computes what the frozen part makes of images, float32 [N, *border], which is kept on disk."""
        if self._cut is None:
            return self.embed(images)
        return tf.cast(self._cut.front(self.preprocess(tf.cast(images, tf.float32)), training=False), tf.float32)

    @property
    def frozen(self) -> keras.Model:
        """The part that `freeze` runs, a whole backbone or its front."""
        return self.backbone if self._cut is None else self._cut.front

    @property
    def parts(self) -> list[Extractor]:
        """Those whose rows, each of length 1, lie side by side in `embed`'s; itself, if there is one backbone."""
        same = keras.layers.Activation("linear", dtype="float32")
        return [Extractor(part.preprocess, part.model, same) for part in self._parts()] or [self]

    @property
    def border(self) -> tuple[int, ...]:
        """Shape of what is kept of an image: (e,), or that of the tensor at the cut."""
        return (self.embedding_units,) if self._cut is None else tuple(self._cut.front.output_shape[1:])


def pool(x: tf.Tensor) -> tf.Tensor:
    """Averages what lies between the samples and the channels: [N, ..., e] -> [N, e]."""
    middle = list(range(1, len(x.shape) - 1))
    return tf.reduce_mean(x, axis=middle) if middle else x


def _bottleneck(settings: ModelSettings) -> keras.layers.Layer:
    by_batch = settings.bottleneck_norm == "batch"  # which takes a bias away
    layers = [keras.layers.Dense(settings.bottleneck_units, use_bias=not by_batch, dtype="float32")]
    # Features that grow make the discriminators overshoot: their curvature grows with the square of the length. Batch
    # norm only where it is asked for: it couples the samples.
    if by_batch:
        layers.append(keras.layers.BatchNormalization(-1, 0.9, 1e-5, synchronized=True, dtype="float32"))
    elif settings.bottleneck_norm == "layer":
        layers.append(keras.layers.LayerNormalization(dtype="float32"))
    return keras.Sequential([*layers, keras.layers.ReLU(dtype="float32")], name="bottleneck")


def build_extractor(settings: ModelSettings, image_size: int, precision: str = "float32") -> Extractor:
    """Builds E with its weights.

    Args:
      settings: extractor, weights, preprocessing, bottleneck_units.
      image_size: S.
      precision: policy of the backbone; bottleneck and what follows are float32.

    Raises:
      UserError: an unknown extractor, or weights that are not its own.
    """
    foreign.check_trusted(settings)
    with compat.precision_policy(precision):
        spec = backbones.build(settings.extractor, settings.weights, image_size, settings.preprocessing)
        if settings.sync_batch_norm:
            spec = dataclasses.replace(spec, model=backbones.synchronized(spec.model))
        parts = cut(spec.model, settings.train_from) if settings.train_from else None
    if settings.freeze_backbone:
        spec.model.trainable = False
    units = spec.model.output_shape[-1]
    if isinstance(units, int) and units * settings.bottleneck_units > _MOST_WEIGHTS:
        raise UserError(
            f"--extractor={settings.extractor} gives {units:,} features, on which --bottleneck_units="
            f"{settings.bottleneck_units} are too many: choose fewer, or a smaller --image_size."
        )
    extractor = Extractor(spec.preprocess, spec.model, _bottleneck(settings), parts, spec.parts)
    # A network of somebody else's is tried with an image; others were made for its size.
    tried = foreign.is_foreign(settings.extractor) or backbones.is_file(settings.extractor)
    what = f"--extractor={settings.extractor} cannot read images of {image_size}x{image_size}x3"
    with explained(what, "Set --image_size to what it expects.", (ValueError, tf.errors.InvalidArgumentError)):
        extractor(tf.zeros([1, image_size, image_size, 3], tf.uint8) if tried else tf.zeros([1, *extractor.border]))
    return extractor


def extractor_beside(extractor: Extractor, settings: ModelSettings) -> Extractor:
    """Returns a second E on the same frozen backbone, with a new bottleneck of its own.

    Args:
      extractor: the first, whose whole backbone is frozen.
      settings: of the second's bottleneck.
    """
    beside = Extractor(extractor.preprocess, extractor.backbone, _bottleneck(settings))
    beside(tf.zeros([1, extractor.embedding_units]))
    return beside


def copy_extractor(
    extractor: Extractor, settings: ModelSettings, image_size: int, precision: str = "float32"
) -> Extractor:
    """Returns a second E with the same weights, whose bottleneck and, unless it is frozen, backbone are its own.

    Args:
      extractor: the first, built from the same settings.
      settings: of the model.
      image_size: S.
      precision: policy of the backbone.
    """
    if settings.freeze_backbone:
        copy = extractor_beside(extractor, settings)
    else:
        copy = build_extractor(dataclasses.replace(settings, weights="none"), image_size, precision)
    for new, old in zip(copy.variables, extractor.variables):
        if new is not old:
            compat.tf_variable(new).assign(compat.tf_variable(old))
    return copy
