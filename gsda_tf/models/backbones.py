"""Backbones by name: `small_cnn`, the image models of keras.applications, or a saved Keras model."""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from gsda_tf import compat
from gsda_tf.errors import UserError, choose, explained
from gsda_tf.models import foreign, joined, networks
from gsda_tf.models.repeatable import repeatable, with_layers
from gsda_tf.models.scaling import expected_preprocessing
from gsda_tf.models.trust import loading, model_config, unpacked_weights
from gsda_tf.models.weights import check_shapes, check_there, data_sets, load_checked, load_weights
from gsda_tf.settings import MODEL_FILES, ModelSettings, several


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network and the preprocessing it was trained with.

    Attributes:
      model: images -> feature map or vector.
      preprocess: float32 [N, S, S, 3] in 0..255 -> the model's input.
      parts: of several backbones that are joined, each.
    """

    model: keras.Model
    preprocess: Callable[[tf.Tensor], tf.Tensor]
    parts: Sequence[Backbone] = ()


def build(name: str, weights: str, image_size: int, preprocessing: str = "auto") -> Backbone:
    """Builds a backbone.

    Args:
      name: "small_cnn", a model of keras.applications in lower case ("resnet50"; "mobilenet_0.75" sets the
        width of the models that have one), the path of a saved Keras model, "keras_hub:PRESET", or "features:N"; or
        several of these, with commas between.
      weights: "imagenet", "none", or a weights file; of several, one each. A saved model brings its own.
      image_size: S, pixels.
      preprocessing: "auto" is what the model was published with; a saved one is looked into.

    Raises:
      UserError: unknown name, a file that cannot be loaded, weights of another model; a saved model that does not show
        how its images are scaled, with "auto".
    """
    if len(several(name)) > 1:
        return _joined(name, weights, image_size, preprocessing)
    if feature_units(name):
        inputs = keras.Input([feature_units(name)])
        return Backbone(keras.Model(inputs, keras.layers.Activation("linear")(inputs), name="features"), tf.identity)
    if foreign.is_foreign(name):
        model, preprocess = foreign.load(name, image_size)
    elif is_file(name):
        model = repeatable(_saved(name, image_size))
        if preprocessing == "auto":
            preprocessing = _shown_preprocessing(name, model, image_size)
    else:
        named = OWN[name](image_size) if name in OWN else _application(name, weights == "imagenet", image_size)
        if weights not in ("imagenet", "none"):
            load_weights(named.model, weights)
        model, preprocess = repeatable(named.model), named.preprocess
    return Backbone(model, preprocess if preprocessing == "auto" else PREPROCESSING[preprocessing])


_MOST_JOINED = 5


def _joined(name: str, weights: str, image_size: int, preprocessing: str) -> Backbone:
    if len(several(name)) > _MOST_JOINED:
        raise UserError(
            f"--extractor={name[:100]} names {len(several(name))} backbones: expected {_MOST_JOINED} at most."
        )
    parts, sized, largest = [], [], own_size(name)
    each_of = zip(several(name), _each(name, "weights", weights), _each(name, "preprocessing", preprocessing))
    for each, its_weights, its_preprocessing in each_of:
        size = own_size(each) or image_size
        if not is_file(each) and largest:  # larger or smaller images are so for each, but for what has one size
            size = round(size * image_size / largest)
        part = build(each, its_weights, size, its_preprocessing)
        sized.append((part.model, part.preprocess, size))
        parts.append(part if size == image_size else dataclasses.replace(part, preprocess=_resized(part, size)))
    with explained(f"--extractor={name} cannot be joined", "Choose others."):
        return Backbone(joined.join(sized, image_size), PREPROCESSING["none"], parts)


def _resized(part: Backbone, size: int) -> Callable:
    return lambda images: part.preprocess(tf.image.resize(images, [size, size]))


def _each(name: str, setting: str, value: str) -> Sequence[str]:
    """Of each of several backbones; one value that is no file is that of all."""
    parts, given = several(name), several(value)
    if len(given) == 1 and not is_file(value):
        return [value] * len(parts)
    if len(given) != len(parts):
        raise UserError(
            f"--{setting}={value} names {len(given)}, but --extractor={name} has {len(parts)} backbones: expected one "
            "for each, with commas between (--weights=none for FILE.keras)."
        )
    return given


def check(settings: ModelSettings) -> None:
    """Makes sure that extractor and weights are there, before anything that takes long.

    Raises:
      UserError: an unknown name, or a file that is not there or not safe.
    """
    parts = several(settings.extractor)
    if len(parts) > 1:
        if not settings.freeze_backbone:
            raise UserError(
                f"--extractor={settings.extractor}: several are joined where frozen; say --freeze_backbone."
            )
        if len(set(parts)) < len(parts):
            raise UserError(f"--extractor={settings.extractor} names a backbone twice: expected each once.")
        _each(settings.extractor, "preprocessing", settings.preprocessing)
        for each, weights in zip(parts, _each(settings.extractor, "weights", settings.weights)):
            check(dataclasses.replace(settings, extractor=each, weights=weights))
        return
    foreign.check_trusted(settings)
    own_size(settings.extractor)  # asks whether there is such a network
    if settings.weights not in ("imagenet", "none") and not foreign.is_foreign(settings.extractor):
        check_there(settings.weights)


def feature_units(name: str) -> int:
    """Returns N of the extractor "features:N", which is given features and leaves them as they are; 0 of any other."""
    found = re.fullmatch(r"features:([1-9]\d{0,6})", name)
    return int(found[1]) if found else 0


def synchronized(model: keras.Model) -> keras.Model:
    """Returns the same network whose batch norm takes its statistics over all replicas' samples.

    Args:
      model: functional or sequential.
    """
    return with_layers(
        model,
        keras.layers.BatchNormalization,
        lambda layer: type(layer).from_config({**layer.get_config(), "synchronized": True}),
    )


def _imagenet(mode: str) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda images: keras.applications.imagenet_utils.preprocess_input(tf.identity(images), mode=mode)


PREPROCESSING: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "minus_one_to_one": lambda images: images / 127.5 - 1.0,
    "zero_to_one": lambda images: images / 255.0,
    "none": lambda images: images,
    "torch": _imagenet("torch"),  # 0..1, then mean and deviation of ImageNet
    "caffe": _imagenet("caffe"),  # BGR, mean of ImageNet
}


_NETWORKS = {
    info.name: importlib.import_module(f"{networks.__name__}.{info.name}")
    for info in pkgutil.iter_modules(networks.__path__)
}


def _from_scratch(network: ModuleType) -> Callable[[int], Backbone]:
    return lambda image_size: Backbone(network.build(image_size), PREPROCESSING[network.PREPROCESSING])


OWN: dict[str, Callable[[int], Backbone]] = {name: _from_scratch(network) for name, network in _NETWORKS.items()}
"""The networks of this package by name: image size -> Backbone."""


def is_small(name: str) -> bool:
    """Returns whether a network is one of this package's own, beside which discriminators are not cheap."""
    return name in OWN


def application_names() -> dict[str, tuple[Callable, Callable]]:
    """Returns every image model of keras.applications: lower-case name -> (constructor, preprocessing)."""
    found = {}
    for _, module in inspect.getmembers(keras.applications, inspect.ismodule):
        preprocess = getattr(module, "preprocess_input", None)
        for name, builder in inspect.getmembers(module, callable):
            if preprocess is not None and name[0].isupper():
                found[name.lower()] = (builder, preprocess)
    for builder in (keras.applications.MobileNetV3Small, keras.applications.MobileNetV3Large):  # in no module
        found[builder.__name__.lower()] = (builder, keras.applications.mobilenet_v3.preprocess_input)
    return found


_SIZES = {
    "inceptionv3": 299, "inceptionresnetv2": 299, "xception": 299, "nasnetlarge": 331, "efficientnetb1": 240,
    "efficientnetb2": 260, "efficientnetb3": 300, "efficientnetb4": 380, "efficientnetb5": 456, "efficientnetb6": 528,
    "efficientnetb7": 600, "efficientnetv2b1": 240, "efficientnetv2b2": 260, "efficientnetv2b3": 300,
    "efficientnetv2s": 384, "efficientnetv2m": 480, "efficientnetv2l": 480,
    **{name: network.SIZE for name, network in _NETWORKS.items()},
}  # fmt: skip
_USUAL_SIZE = 224


def own_size(name: str) -> int | None:
    """Returns the height, and width, of images that a network was made for, pixels; None if it is not known or any.

    Args:
      name: see `build`.

    Raises:
      UserError: an unknown name, or a file that is not there or not safe.
    """
    parts = several(name)
    if len(parts) > 1:
        return max((size for size in map(own_size, parts) if size), default=None)
    if feature_units(name) or foreign.is_foreign(name):
        return None
    if not is_file(name):
        return _SIZES.get(_known(name)[0], _USUAL_SIZE)
    for part in model_config(name)["config"]["layers"]:
        if part["class_name"] == "InputLayer":
            shape = part["config"].get("batch_shape") or part["config"].get("batch_input_shape") or []
            return shape[1] if len(shape) == 4 and isinstance(shape[1], int) else None
    return None


def is_file(name: str) -> bool:
    """Returns whether an extractor is a saved model and no name."""
    return name.endswith(MODEL_FILES) or os.sep in name


def _known(name: str) -> tuple[str, str | None]:
    """The plain name of a network, and the width that is asked for with it."""
    plain, alpha = re.fullmatch(r"(.*?)(?:_(\d\.\d+))?", name, re.DOTALL).groups()
    choose("extractor", plain, [*OWN, *sorted(application_names())])
    return plain, alpha


def _application(name: str, pretrained: bool, image_size: int) -> Backbone:
    plain, alpha = _known(name)
    builder, preprocess = application_names()[plain]
    options: dict[str, Any] = {"weights": "imagenet" if pretrained else None}
    if alpha is not None:  # a network that has no width to set refuses it itself
        options["alpha"] = float(alpha)
    todo = "Weights that cannot be downloaded are given by --weights=FILE, or made at random by --weights=none."
    with explained(f"--extractor={name} at --image_size={image_size}", todo):
        model = builder(include_top=False, input_shape=(image_size, image_size, 3), **options)
    return Backbone(model, lambda images: preprocess(tf.identity(images)))


def _shown_preprocessing(path: str, model: keras.Model, image_size: int) -> str:
    found = expected_preprocessing(model, image_size)
    if found is None:
        raise UserError(
            f"--extractor={path} does not show how its images are scaled (it has no Rescaling or Normalization before "
            f"its first weights): say --preprocessing={', '.join(PREPROCESSING)}, as it was trained; none is 0..255."
        )
    _tell_once(f"{path} scales its images itself: --preprocessing={found}.")
    return found


_tell_once = functools.lru_cache(maxsize=16)(print)
"""However often a network is built."""


def _saved(path: str, image_size: int) -> keras.Model:
    """A model somebody saved."""
    config = model_config(path)
    with loading(path), unpacked_weights(path) as weights:
        check_shapes(compat.without_values(lambda: _from_config(config)), data_sets(weights))
        model = _from_config(config)
        load_checked(model, weights)
        shape = model.input_shape
        one_image = isinstance(shape, tuple) and len(shape) == 4 and shape[-1] == 3
        if not one_image or shape[1] not in (None, image_size):
            raise ValueError(f"it takes {shape}, expected one image input [N, H, W, 3] H of --image_size={image_size}")
        return model


def _from_config(config: dict[str, Any]) -> keras.Model:
    # A copy: Keras takes apart what it is given.
    return keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)
