"""Weights files: looked into first, loaded by layer, and refused when they are another model's."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping

import h5py
import keras
import numpy as np

from gsda_tf.errors import UserError
from gsda_tf.models import hdf5

_NOT_READ = ("optimizer/", "metrics/", "loss_tracker/", "_loss_tracker/", "compile_metrics/", "_compile_metrics/")
"""Beside the weights of a model that was compiled. Here none is, so Keras asks for none of it."""


def check_there(path: str) -> None:
    """Raises UserError if there is no such weights file."""
    if not os.path.isfile(path):
        raise UserError(f"--weights={path}: no such file; expected imagenet, none, or a weights file.")


def load_weights(model: keras.Model, path: str) -> None:
    """Loads a weights file into a backbone. A classification top that an older file has beside it is left out.

    Args:
      model: the network, without a top.
      path: `.weights.h5`, or the older `.h5` of keras.applications.

    Raises:
      UserError: no such file, not a weights file, or not of this model; the model is as it was.
    """
    check_there(path)
    try:
        shapes = hdf5.data_sets(path)
    except ValueError as error:
        raise UserError(f"--weights={path} is not a Keras weights file (plain HDF5 expected): {error}.") from error
    before = model.get_weights()
    try:
        with h5py.File(path, "r") as file:
            older = file.get("model_weights", file)
            if not isinstance(older, h5py.Group):
                raise ValueError("its model_weights are no group")
            layers = hdf5.words(older, "layer_names")
            if layers:
                _load_older(model, older, layers)
        if not layers:
            check_shapes(model, shapes)
            load_checked(model, path)
    except (ValueError, OSError, RuntimeError, KeyError, TypeError) as error:
        model.set_weights(before)
        raise UserError(
            f"--weights={path} are not the weights of {model.name}: {error}. Give those of the same model."
        ) from error


def check_shapes(model: keras.Model, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Compares what a `.weights.h5` holds with a model, before either takes memory.

    Args:
      model: its variables need no values.
      shapes: of the data sets in the file, by name.

    Raises:
      ValueError: a shape that the model does not have, or more numbers.
    """
    wanted = [tuple(variable.shape) for variable in model.variables]
    shapes = {name: shape for name, shape in shapes.items() if not name.startswith(_NOT_READ)}
    for name, shape in shapes.items():
        if shape not in wanted:
            raise ValueError(f"{name} has the shape {shape}, which none of its weights has")
    if sum(map(math.prod, shapes.values())) > sum(map(math.prod, wanted)):
        raise ValueError(f"it has {len(wanted)} weights, the file more")


def load_checked(model: keras.Model, path: str) -> None:
    """Loads a `.weights.h5` whose shapes were compared.

    Raises:
      ValueError: Keras does not load it, it lacks a weight, or a number is not finite. The model is spoilt.
    """
    # What is still NaN afterwards was not in the file.
    model.set_weights([np.full_like(w, np.nan) if w.dtype.kind == "f" else w for w in model.get_weights()])
    with tempfile.TemporaryDirectory() as folder:
        # Keras goes by the name.
        named = os.path.join(folder, "model.weights.h5")
        os.symlink(os.path.abspath(path), named)
        try:
            model.load_weights(named)
        except Exception as error:  # Keras raises many kinds for a file it cannot read.
            raise ValueError(str(error).splitlines()[0][:300]) from error
    bad = [layer.name for layer in model.layers if not all(np.isfinite(w).all() for w in layer.get_weights())]
    if bad:
        raise ValueError(f"it has nothing, or numbers that are not finite, for {len(bad)} layers, such as {bad[0]}")


def _load_older(model: keras.Model, file: h5py.Group, names: list[str]) -> None:
    """By name, so that a file that also holds the ImageNet top serves a network without one."""
    # Keras 3 writes an underscore where a name had a slash: "conv1/conv" of an older file is its "conv1_conv".
    there = {name.replace("/", "_"): name for name in names}
    called = {layer.name: there.get(layer.name.replace("/", "_")) for layer in model.layers}
    missing = [layer.name for layer in model.layers if layer.weights and called[layer.name] is None]
    if missing:
        raise ValueError(f"it has nothing for {len(missing)} layers, such as {missing[0]}")
    # All shapes first, then the numbers.
    pairs = []
    for layer in model.layers:
        variables = [*layer.trainable_weights, *layer.non_trainable_weights]
        if not variables:
            continue
        group = file.get(called[layer.name])
        stored = hdf5.words(group, "weight_names") if isinstance(group, h5py.Group) else []
        found = [group.get(name) for name in stored]
        shapes = [data.shape if isinstance(data, h5py.Dataset) else None for data in found]
        wanted = [tuple(variable.shape) for variable in variables]
        if shapes != wanted:
            raise ValueError(f"{layer.name} has the shapes {shapes} instead of {wanted}")
        pairs += zip([layer.name] * len(found), variables, found)
    for name, variable, data in pairs:
        value = data[()]
        if not np.isfinite(value).all():
            raise ValueError(f"{name} has numbers that are not finite")
        variable.assign(value)
