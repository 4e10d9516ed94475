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
            attributes = file.get("model_weights", file).attrs
            older = any(name.startswith("layer_names") for name in attributes)
        if older:
            _load_older(model, path)
        else:
            check_shapes(model, shapes)
            load_checked(model, path)
    except (ValueError, OSError, RuntimeError) as error:
        model.set_weights(before)
        raise UserError(
            f"--weights={path} are not the weights of {model.name}: {error}. Give those of the same model."
        ) from error


def _load_older(model: keras.Model, path: str) -> None:
    """By the layers' order or, where the file also holds the ImageNet top and the network has none, by their names."""
    try:
        load_checked(model, path, "model.h5")
    except ValueError:
        load_checked(model, path, "model.h5", by_name=True)


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


def load_checked(model: keras.Model, path: str, called: str = "model.weights.h5", **options: bool) -> None:
    """Loads a file that was looked into.

    Args:
      model: the network; spoilt if this fails.
      path: of the file.
      called: a name by which Keras knows the kind of the file.
      **options: of Keras's `load_weights`.

    Raises:
      ValueError: Keras does not load it, it lacks a weight, or a number is not finite.
    """
    # What is still NaN afterwards was not in the file.
    model.set_weights([np.full_like(w, np.nan) if w.dtype.kind == "f" else w for w in model.get_weights()])
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.abspath(path), os.path.join(folder, called))
        try:
            model.load_weights(os.path.join(folder, called), **options)
        except Exception as error:  # Keras raises many kinds for a file it cannot read.
            raise ValueError(str(error).splitlines()[0][:300]) from error
    bad = [layer.name for layer in model.layers if not all(np.isfinite(w).all() for w in layer.get_weights())]
    if bad:
        raise ValueError(f"it has nothing, or numbers that are not finite, for {len(bad)} layers, such as {bad[0]}")
