"""Backbones cut in two: where, and that both parts together are the whole."""

import keras
import numpy as np
import pytest

from gsda_tf.compat import variable_name
from gsda_tf.errors import UserError
from gsda_tf.models import backbones
from gsda_tf.models.cut import cut
from gsda_tf.models.extractor import build_extractor, copy_extractor
from gsda_tf.settings import ModelSettings
from tests import rounding

layers = keras.layers


def _conv(x, filters, name, strides=1, size=3):
    x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _branching() -> keras.Model:
    """What networks have between stages: a residual block that strides, a gate, a widening, a model of its own."""
    inputs = keras.Input([32, 32, 3])
    x = _conv(inputs, 4, "stem", 2)
    branch = _conv(_conv(x, 2, "wide"), 8, "strided", 2)
    x = layers.Add(name="block_2")([branch, layers.Conv2D(8, 1, 2, name="short")(x)])
    gate = layers.Conv2D(8, 1, name="gate_conv")(layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x))
    x = layers.Multiply(name="gated")([x, gate])
    x = _conv(_conv(x, 40, "expand", size=1), 8, "narrow", 2)
    nested = keras.Sequential([keras.Input(x.shape[1:]), layers.Conv2D(12, 2, 2, name="inner")], name="nested")
    return keras.Model(inputs, layers.Dropout(0.5, name="drop")(nested(x)), name="branching")


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "place, border, shape, first",
    [
        ("stage2", "stem_relu", (16, 16, 4), "wide_conv"),  # its strided convolutions are in branches
        ("strided_conv", None, None, None),
        ("stage3", "gated", (8, 8, 8), "expand_conv"),  # and not the five times wider map before the stride
        ("narrow_conv", "expand_relu", (8, 8, 40), "narrow_conv"),  # as it is told to
        ("expand_relu", "expand_relu", (8, 8, 40), "narrow_conv"),  # nothing to train in it
        ("stage4", "narrow_relu", (4, 4, 8), "inner"),
        ("last", "narrow_relu", (4, 4, 8), "inner"),
        ("stage5", None, None, None),
        ("block_2", "block_2", (8, 8, 8), "gate_conv"),
        ("short", None, None, None),  # two tensors cross
        ("drop", None, None, None),  # nothing is left to be trained
        ("stem_conv", None, None, None),  # nothing is frozen
    ],
)
def test_places_in_a_graph_that_branches(images, place, border, shape, first):
    model = _branching()
    if border is None:
        with pytest.raises(UserError, match=r"cannot be cut there .* stage2, stage3, stage4, last, ") as refused:
            cut(model, place)
        assert "\n" not in str(refused.value)
        return
    parts = cut(model, place)
    assert parts.front.layers[-1].name == border and parts.front.output_shape[1:] == shape
    names = [layer.name for layer in parts.rest.layers]
    assert border not in names and (first in names or first == "inner")
    _check_parts(model, parts, images)


def _check_parts(model, parts, images):
    """The parts share the model's weights, each in one of them, and give together what it gives."""
    front, rest = ({id(v) for v in part.variables} for part in (parts.front, parts.rest))
    assert front | rest == {id(v) for v in model.variables} and not front & rest
    assert not parts.front.trainable_variables
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in parts.rest.trainable_variables}
    both = parts.rest(parts.front(images, training=False), training=False)
    assert rounding.distance(both, model(images, training=False)) == 0


@pytest.mark.parametrize(
    "name, place, border",
    [
        ("mobilenet_0.25", "stage5", "conv_pw_11_relu"),
        ("mobilenet_0.25", "conv_dw_7", "conv_pw_6_relu"),
        ("mobilenetv2_0.35", "last", "block_12_add"),
        ("small_cnn", "last", None),
    ],
)
def test_places_in_known_backbones(images, name, place, border):
    model = backbones.build(name, "none", 32).model
    before = [variable_name(variable) for variable in model.variables]
    parts = cut(model, place)
    assert border in (None, parts.front.layers[-1].name)
    _check_parts(model, parts, images)
    assert before == [variable_name(variable) for variable in model.variables]


def test_a_place_that_is_nearly_one_is_told():
    model = backbones.build("mobilenet_0.25", "none", 32).model
    with pytest.raises(UserError, match=r"--train_from=conv_pw_6_rel: .* stage2, .*, last, conv_pw_6_relu"):
        cut(model, "conv_pw_6_rel")
    flat = keras.Sequential([keras.Input([8, 8, 3]), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(UserError, match="expected a network that can be cut"):
        cut(flat, "last")


def test_an_extractor_that_is_cut_is_the_whole_one(images):
    settings = ModelSettings(extractor="mobilenet_0.25", weights="none", bottleneck_units=6, train_from="stage5")
    extractor = build_extractor(settings, 32)
    pixels = (images * 127 + 128).astype(np.uint8)
    border = extractor.freeze(pixels)
    assert border.shape[1:] == extractor.border == (2, 2, 128)
    assert rounding.distance(extractor(border), extractor(pixels)) < rounding.FORWARD
    assert rounding.distance(extractor(border, training=True), extractor(pixels, training=True)) < rounding.FORWARD
    # Batch norm of the front is as it was, that of the rest has moved.
    moved = {layer.name for layer in extractor.backbone.layers if _has_moved(layer)}
    assert moved == {f"{name}_{i}_bn" for name in ("conv_dw", "conv_pw") for i in (12, 13)}
    other = copy_extractor(extractor, settings, 32)
    assert rounding.distance(other(pixels), extractor(pixels)) == 0
    assert len(other.trainable_variables) == len(extractor.trainable_variables)


def _has_moved(layer) -> bool:
    return isinstance(layer, layers.BatchNormalization) and bool(np.any(np.asarray(layer.moving_mean)))
