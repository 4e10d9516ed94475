"""Saved models that would run code are refused before Keras sees them."""

import json
import os
import zipfile

import keras
import pytest
import tensorflow as tf

from gsda_tf.compat import KERAS_3
from gsda_tf.errors import UserError
from gsda_tf.models import trust


def _write_model(path, change):
    """A model whose description was changed by hand."""
    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, keras.layers.Conv2D(2, 3, activation="relu", name="conv")(inputs)).save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(next(layer for layer in config["config"]["layers"] if layer["config"]["name"] == "conv"))
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return str(path)


def _system(layer):
    layer["config"]["activation"] = {
        "module": "os", "class_name": "function", "config": "system", "registered_name": "system",
    }  # fmt: skip


def _unsafe_switch(layer):
    layer["config"]["activation"] = {
        "module": "keras.config", "class_name": "function", "config": "enable_unsafe_deserialization",
        "registered_name": "x",
    }  # fmt: skip


def _writes_files(layer):
    layer.update({"module": "keras.src.layers", "class_name": "TFOpLambda"})
    layer["config"] = {"name": "conv", "function": "io.write_file"}


def _lambda(layer):
    layer["config"]["activation"] = {"class_name": "__lambda__", "config": {"value": "4wEAAAAA"}}


@pytest.mark.parametrize(
    "change, expected",
    [
        (_system, "it names function of os, which is no part of a Keras network"),
        (_unsafe_switch, "it names function of keras.config"),
        (_writes_files, "it calls tf.io.write_file, which is no arithmetic"),
        (_lambda, "it holds a lambda, that is, code"),
    ],
)
def test_a_model_that_names_code_is_refused_before_it_is_loaded(change, expected, tmp_path):
    path = _write_model(str(tmp_path / "x.keras"), change)
    with pytest.raises(UserError, match=expected):
        trust.refuse_unsafe(path)


def test_plain_models_pass(tmp_path):
    trust.refuse_unsafe(_write_model(str(tmp_path / "x.keras"), lambda layer: None))
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.SeparableConv2D(4, 3, depthwise_regularizer="l2")(inputs))
    if not KERAS_3:
        x = tf.nn.relu6(x + 3.0) * (1.0 / 6.0)  # calls of TensorFlow, as MobileNetV3 has them
    keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x)).save(str(tmp_path / "y.keras"))
    trust.refuse_unsafe(str(tmp_path / "y.keras"))


def test_hdf5_models_are_refused_whatever_they_are_called(tmp_path):
    """Keras's safe mode does not look at them: a lambda in one would run."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: x)])
    for name in ("x.h5", "x.hdf5"):
        model.save(str(tmp_path / name))
        with pytest.raises(UserError, match=r"is no \.keras file: .* cannot load them safely"):
            trust.refuse_unsafe(str(tmp_path / name))
    os.rename(tmp_path / "x.h5", tmp_path / "x.keras")
    with pytest.raises(UserError, match=r"is no \.keras file"):
        trust.refuse_unsafe(str(tmp_path / "x.keras"))


def test_a_bomb_and_a_torn_file_are_refused(tmp_path, monkeypatch):
    path = _write_model(str(tmp_path / "x.keras"), lambda layer: None)
    monkeypatch.setattr(trust, "_MAX_CONFIG_BYTES", 10)
    with pytest.raises(UserError, match="it is not what it seems"):
        trust.refuse_unsafe(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.json", "{}")
    with pytest.raises(UserError, match=r"is damaged \(.*get or save it anew"):
        trust.refuse_unsafe(path)
