"""Saved models that hold anything but a network are refused before Keras sees them."""

import functools
import json
import os
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import compat
from gsda_tf.compat import KERAS_3
from gsda_tf.errors import UserError
from gsda_tf.models import backbones, trust
from tests import rounding


def _write_model(path, change, members=None):
    """A model whose description was changed by hand."""
    inputs = keras.Input((8, 8, 3), name="in")
    keras.Model(inputs, keras.layers.Conv2D(2, 3, activation="relu", name="conv")(inputs)).save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(next(layer for layer in config["config"]["layers"] if layer["config"]["name"] == "conv"))
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**parts, **(members or {})}.items():
            archive.writestr(name, content)
    return str(path)


def _object(module, name, config, **more):
    return {"module": module, "class_name": name, "config": config, "registered_name": None, **more}


def _becomes(module, name, **config):
    """Another layer in place of the convolution."""

    def change(layer):
        layer.update(_object(module, name, {"name": "conv", **config}))

    return change


def _activation(value):
    def change(layer):
        layer["config"]["activation"] = value

    return change


def _initializer(value):
    def change(layer):
        layer["config"]["kernel_initializer"] = value

    return change


def _build_config(layer):
    layer["build_config"] = {"input_shape": _object("keras.saving", "load_model", {"filepath": "other"})}


def _argument(layer):
    layer["inbound_nodes"] = [{"args": [_object("keras.layers", "TFSMLayer", {"filepath": "x"})], "kwargs": {}}]


_FUNCTION = {"class_name": "function", "registered_name": "function"}
_ATTACKS = {
    "a class method": (
        _becomes("keras.layers", "ClassMethod", cls_symbol="io.write_file", method_name="__call__"),
        r"it names ClassMethod of keras\.layers .None., which is no part of a network",
    ),
    "an instance method": (_becomes("keras.layers", "InstanceMethod", method_name="x"), "it names InstanceMethod"),
    "a property": (_becomes("keras.layers", "InstanceProperty", attr_name="x"), "it names InstanceProperty"),
    "a SavedModel": (_becomes("keras.layers", "TFSMLayer", filepath="x"), "it names TFSMLayer"),
    "words from a file": (_becomes("keras.layers", "StringLookup", vocabulary="/etc/passwd"), "it names StringLookup"),
    "text from a file": (_becomes("keras.layers", "TextVectorization", vocabulary="x"), "it names TextVectorization"),
    "a function that writes": (
        _becomes("keras.src.layers.core.tf_op_layer", "TFOpLambda", function="io.write_file"),
        r"it calls tf\.io\.write_file, which is no arithmetic",
    ),
    "arithmetic that prints": (
        _becomes("keras.src.layers.core.tf_op_layer", "TFOpLambda", function="print"), r"it calls tf\.print"
    ),
    "a lambda": (_becomes("keras.layers", "Lambda", function="4wEAAAAA"), "it holds a lambda, that is, code"),
    "a module of Python": (_activation(_object("os", "function", "system")), "it names the function system of os"),
    "a switch of Keras": (
        _activation(_object("keras.config", "function", "enable_unsafe_deserialization")),
        "it names the function enable_unsafe_deserialization of keras.config",
    ),
    "a function that is no activation": (
        _activation({"module": "builtins", "config": "load_model", **_FUNCTION}), "the function load_model"
    ),
    "another name for a known function": (
        _activation({**_object("keras.activations", "function", "relu"), "registered_name": "Addons>x"}),
        r"the function relu of keras\.activations \(Addons>x\), which is no part",
    ),
    "an activation by a strange name": (_activation("io.write_file"), "it names the activation io.write_file"),
    "a lambda inside": (_activation({"class_name": "__lambda__", "config": {"value": "4wEA"}}), "it holds a lambda"),
    "a layer that is another's": (_becomes("keras.utils", "Conv2D"), r"it names Conv2D of keras\.utils"),
    "something registered": (
        lambda layer: layer.update(registered_name="package>Thing"), r"it names Conv2D of .* \(package>Thing\)"
    ),
    "an initializer of one's own": (_initializer(_object("mine", "Zeros", {})), "it names Zeros of mine"),
    "an object where shapes are": (_build_config, "it names load_model of keras.saving"),
    "an object among arguments": (_argument, "it names TFSMLayer"),
    "a key that Keras does not write": (lambda layer: layer.update(more={}), "Conv2D has 'more'"),
    "a name that is no name": (lambda layer: layer.update(class_name=["Conv2D"]), "was not loaded"),
    "depth": (_activation(json.loads("[" * 800 + "]" * 800)), "damaged|was not loaded"),
}  # fmt: skip


@pytest.mark.parametrize("case", _ATTACKS)
def test_what_is_no_network_is_refused_before_keras_sees_it(case, tmp_path, monkeypatch):
    change, expected = _ATTACKS[case]
    path = _write_model(str(tmp_path / "x.keras"), change)
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", lambda *_, **__: pytest.fail("Keras was asked"))
    with pytest.raises(UserError, match=expected):
        backbones.build(path, "none", 8)


def test_networks_pass(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.SeparableConv2D(4, 3, depthwise_regularizer="l2", activation="gelu")(inputs)
    x = keras.layers.BatchNormalization(gamma_constraint="non_neg")(x)
    x = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Conv2D(4, 1), keras.layers.Dropout(0.1)])(x)
    # Arithmetic between layers, as MobileNetV3 has it.
    relu6 = keras.ops.relu6 if KERAS_3 else tf.nn.relu6
    x = relu6(x + 3.0)[:, 1:] * (1.0 / 6.0)
    x = keras.layers.Activation(keras.layers.ReLU())(x)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    model.compile("sgd", "mse")
    path = str(tmp_path / "x.keras")
    model.save(path)
    loaded = backbones.build(path, "none", 8, "none").model
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    assert rounding.distance(loaded(images), model(images)) < rounding.FORWARD


def test_looking_costs_no_random_numbers(tmp_path):
    """What is built after a saved model starts from the same weights, however the model is looked into."""
    path = _write_model(str(tmp_path / "x.keras"), lambda layer: None)

    def after(load):
        load()
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).get_weights()[0]

    loads = (lambda: keras.models.load_model(path, compile=False), lambda: backbones.build(path, "none", 8, "none"))
    expected, found = (compat.seeded(3, functools.partial(after, load)) for load in loads)
    np.testing.assert_array_equal(found, expected)


def test_hdf5_models_are_refused_whatever_they_are_called(tmp_path):
    """Keras's safe mode does not look at them: a lambda in one would run."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: x)])
    for name in ("x.h5", "x.hdf5"):
        model.save(str(tmp_path / name))
        with pytest.raises(UserError, match=r"is no \.keras file, or not there.* cannot be loaded safely"):
            trust.model_config(str(tmp_path / name))
    os.rename(tmp_path / "x.h5", tmp_path / "x.keras")
    with pytest.raises(UserError, match=r"is no \.keras file"):
        trust.model_config(str(tmp_path / "x.keras"))


@pytest.mark.parametrize(
    "members, expected",
    [
        ({"model.weights.h5": bytes(10**6)}, "holds 'model.weights.h5' of 1,000,000 bytes, and is not what it seems"),
        ({"assets/../../x": b""}, r"holds 'assets/\.\./\.\./x' of 0 bytes, and is not what it seems"),
        ({"model.weights.npz": b""}, "holds 'model.weights.npz'"),
        ({f"{i:06}": b"" for i in range(22_000)}, "was not loaded: too many members"),
        ({"config.json": b"["}, "was not loaded: Expecting value"),
        ({"config.json": b"[]"}, "it describes no model"),
    ],
)
def test_archives_that_are_not_what_they_seem(members, expected, tmp_path):
    path = _write_model(str(tmp_path / "x.keras"), lambda layer: None, members)
    with pytest.raises(UserError, match=expected):
        backbones.build(path, "none", 8)


def test_a_torn_file_and_a_large_description(tmp_path, monkeypatch):
    path = _write_model(str(tmp_path / "x.keras"), lambda layer: None)
    monkeypatch.setattr(trust, "_MAX_CONFIG_BYTES", 10)
    with pytest.raises(UserError, match="and is not what it seems"):
        trust.model_config(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("config.json", "{}")
    with pytest.raises(UserError, match=r"holds 'config\.json' of 2 bytes, and is not what it seems"):
        trust.model_config(path)


def test_a_description_of_a_huge_model_takes_no_memory(tmp_path):
    import resource

    def wide(layer):
        layer["config"]["filters"] = 40_000_000

    path = _write_model(str(tmp_path / "x.keras"), wide)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"was not loaded: .* has the shape .*, which none of its weights has"):
        backbones.build(path, "none", 8)
    # Built, its kernel would be 4.3 GB; ru_maxrss is in KB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000
