"""Weights files hold their numbers in themselves, those of the model, and nothing else is read."""

import os
import resource
import zipfile

import h5py
import keras
import numpy as np
import pytest

from gsda_tf import compat
from gsda_tf.errors import UserError
from gsda_tf.models.weights import data_sets, load_weights


def _model(seed=0):
    def build() -> keras.Model:
        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
        return keras.Model(inputs, keras.layers.BatchNormalization(name="norm")(x), name="net")

    return compat.seeded(seed, build)


def _older(path, more=None, **change):
    """The file that keras.applications loads, with a top that the network does not have."""
    model = _model(1)
    arrays = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    arrays["top"] = [np.ones((5, 7), np.float32)]
    arrays.update(change)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = list(arrays)
        for name, values in arrays.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/w{i}:0" for i in range(len(values))]
            for i, value in enumerate(values):
                group[f"{name}/w{i}:0"] = value
        if more:
            more(file)
    return str(path), model


@pytest.mark.parametrize("name", ["x.weights.h5", "x.h5", "whatever"])
def test_weights_of_the_same_model_are_loaded_whatever_the_file_is_called(name, tmp_path):
    saved = _model(1)
    saved.save_weights(str(tmp_path / "x.weights.h5"))
    os.rename(tmp_path / "x.weights.h5", tmp_path / name)
    model = _model()
    load_weights(model, str(tmp_path / name))
    for one, other in zip(model.get_weights(), saved.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_older_files_are_loaded_by_name_without_their_top(tmp_path):
    path, saved = _older(tmp_path / "x.h5")
    model = _model()
    load_weights(model, path)
    for one, other in zip(model.get_weights(), saved.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_older_files_without_a_top_are_loaded_in_order(tmp_path):
    """Layers were called otherwise before: with a slash where Keras 3 writes an underscore."""
    path, saved = _older(tmp_path / "x.h5")
    with h5py.File(path, "r+") as file:
        file.move("conv", "co/nv")
        file["co/nv"].attrs["weight_names"] = ["conv/w0:0", "conv/w1:0"]
        file.attrs["layer_names"] = ["co/nv", "norm"]
    model = _model()
    load_weights(model, path)
    for one, other in zip(model.get_weights(), saved.get_weights()):
        np.testing.assert_array_equal(one, other)


def _replaced(make):
    """`make(file, name)` in place of a data set."""

    def change(file):
        del file["conv/conv/w0:0"]
        make(file, "conv/conv/w0:0")

    return change


_SHAPE = (3, 3, 3, 4)


def _external(file, name):
    file.create_dataset(name, _SHAPE, "f4", external=[("pipe", 0, 432)])


def _virtual(file, name):
    layout = h5py.VirtualLayout(_SHAPE, "f4")
    layout[:] = h5py.VirtualSource("pipe", "x", _SHAPE)
    file.create_virtual_dataset(name, layout)


def _external_link(file, name):
    file[name] = h5py.ExternalLink("pipe", "/x")


def _soft_link(file, name):
    file[name] = h5py.SoftLink("/top/top/w0:0")


def _huge(file, name):
    file.create_dataset(name, (10**6, 10**6), "f4", chunks=(1000, 1000))


def _bomb(file, name):
    file.create_dataset(name, (6 * 10**8,), "f4", chunks=(10**6,), compression="gzip")


def _chunk(file, name):
    file.create_dataset(name, (3,), "f4", maxshape=(None,), chunks=(6 * 10**8,), compression="gzip")


def _plug_in(file, name):
    file.create_dataset(name, _SHAPE, "f4", chunks=_SHAPE, compression="lzf")


def _texts(file, name):
    file.create_dataset(name, data=["a"])


def _references(file, name):
    file.create_dataset(name, (1,), dtype=h5py.ref_dtype)


def _type(file, name):
    file[name] = np.dtype("f8")


_BAD = {
    "external storage": (_replaced(_external), "conv/conv/w0:0 takes its numbers from another file"),
    "a virtual data set": (_replaced(_virtual), "takes its numbers from another file"),
    "an external link": (_replaced(_external_link), "is a link to another place"),
    "a soft link": (_replaced(_soft_link), "is a link to another place"),
    "a huge shape": (_replaced(_huge), r"it unpacks to 4,000,000,000,\d+ bytes from"),
    "numbers that unpack": (_replaced(_bomb), r"it unpacks to 2,400,000,\d+ bytes from"),
    "a huge chunk": (_replaced(_chunk), "is unpacked in pieces of 2,400,000,000 bytes"),
    "an unusual filter": (_replaced(_plug_in), "is packed in an unusual way"),
    "texts": (_replaced(_texts), "holds no numbers"),
    "references": (_replaced(_references), "holds no numbers"),
    "a type": (_replaced(_type), "is neither group nor data set"),
    "names that are a number": (lambda file: file.attrs.create("layer_names", 3), "are not the weights of net"),
    "names that are numbers": (lambda file: file.attrs.create("layer_names", [3, 4]), "are not the weights of net"),
    "references as names": (
        lambda file: file["conv"].attrs.create("weight_names", [file.ref], dtype=h5py.ref_dtype),
        "an attribute of conv is neither words nor numbers",
    ),
    "a layer that is a data set": (
        lambda file: (file.__delitem__("conv"), file.create_dataset("conv", data=[1.0])),
        "are not the weights of net",
    ),
    "weights elsewhere in the file": (
        lambda file: file["conv"].attrs.modify("weight_names", ["/top/top/w0:0", "conv/w1:0"]),
        "are not the weights of net",
    ),
}


@pytest.mark.parametrize("case", _BAD)
def test_what_else_is_in_a_file_is_refused_unread(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")  # whoever opens it waits for ever
    change, expected = _BAD[case]
    path, _ = _older(tmp_path / "x.h5", change)
    model = _model()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=expected):
        load_weights(model, path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200_000


def _spoil(value):
    kernel = np.ones(_SHAPE, np.float32)
    kernel[0, 0, 0, 0] = value
    return [kernel, np.zeros(4, np.float32)]


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"conv": _spoil(np.inf)}, "not finite, for 1 layers, such as conv"),
        ({"conv": _spoil(np.nan)}, "not finite, for 1 layers, such as conv"),
        ({"conv": [np.zeros((4,), np.float32)] * 2}, "are not the weights of net"),
        ({"conv": []}, "are not the weights of net"),
    ],
)
def test_other_numbers_of_an_older_file(change, expected, tmp_path):
    path, _ = _older(tmp_path / "x.h5", **change)
    with pytest.raises(UserError, match=expected):
        load_weights(_model(), path)


def _every(path):
    found = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, thing: found.append(name) if isinstance(thing, h5py.Dataset) else None)
    return found


@pytest.mark.parametrize(
    "make, expected",
    [
        (_external, "takes its numbers from another file"),
        (_huge, "it unpacks to 4,000,000,000,"),
        (_bomb, "it unpacks to 2,400,000,"),
        (lambda file, name: file.create_dataset(name, data=np.full(_SHAPE, np.inf, "f4")), "not finite"),
        (lambda file, name: None, "are not the weights of net"),
    ],
)
def test_newer_files(make, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    path = str(tmp_path / "x.weights.h5")
    _model(1).save_weights(path)
    with h5py.File(path, "r+") as file:
        name = next(name for name in _every(path) if file[name].shape == _SHAPE)
        del file[name]
        make(file, name)
    with pytest.raises(UserError, match=expected):
        load_weights(_model(), path)


def test_more_numbers_than_the_model_has(tmp_path):
    path = str(tmp_path / "x.weights.h5")
    _model(1).save_weights(path)
    with h5py.File(path, "r+") as file:
        for i in range(9):
            file[f"more/{i}"] = np.zeros(_SHAPE, np.float32)
    with pytest.raises(UserError, match="weights, the file more"):
        load_weights(_model(), path)


def test_damaged_files_end_in_one_kind_of_error(tmp_path):
    path, _ = _older(tmp_path / "x.h5")
    with open(path, "rb") as file:
        whole = file.read()
    rng = np.random.default_rng(0)
    for _ in range(100):
        spoilt = bytearray(whole)
        for place in rng.integers(0, len(spoilt), 30):
            spoilt[place] = rng.integers(256)
        with open(path, "wb") as file:
            file.write(spoilt)
        try:
            data_sets(path)
        except ValueError as error:
            assert str(error)


def test_the_state_of_an_optimizer_beside_the_weights_is_left_out(tmp_path):
    model = _model(1)
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 8, 8, 3)), np.zeros((2, 6, 6, 4)), verbose=0)
    model.save(str(tmp_path / "x.keras"))
    with zipfile.ZipFile(tmp_path / "x.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    assert any(name.startswith("optimizer/") for name in _every(tmp_path / "model.weights.h5"))
    other = _model()
    load_weights(other, str(tmp_path / "model.weights.h5"))
    for one, saved in zip(other.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(one, saved)
