"""Weights files: loaded by layer, and refused when they are another model's."""

from __future__ import annotations

import os

import h5py
import keras
import numpy as np

from gsda_tf.errors import UserError


def check_there(path: str) -> None:
    """Raises UserError if there is no such weights file."""
    if not os.path.isfile(path):
        raise UserError(f"--weights={path}: no such file; expected imagenet, none, or a weights file.")


def load_weights(model: keras.Model, path: str) -> None:
    """Loads a weights file into a backbone. A classification top that the file has beside it is left out.

    Args:
      model: the network, without a top.
      path: `.weights.h5`, or the older `.h5` of keras.applications.

    Raises:
      UserError: no such file, not a weights file, or not of this model.
    """
    check_there(path)
    try:
        with h5py.File(path, "r") as file:
            older = "layer_names" in file.attrs or "model_weights" in file
    except OSError as error:
        raise UserError(f"--weights={path} is not a Keras weights file (HDF5 expected): {error}") from error
    before = model.get_weights()
    # What is still NaN afterwards was not in the file.
    model.set_weights([np.full_like(w, np.nan) for w in before])
    try:
        # By name, so that a file that also holds the ImageNet top serves a network without one.
        if older:
            model.load_weights(path, by_name=True)
        else:
            model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        model.set_weights(before)
        raise _foreign(model, path, str(error).splitlines()[0]) from error
    untouched = [layer.name for layer in model.layers if any(np.isnan(w).any() for w in layer.get_weights())]
    if untouched:
        model.set_weights(before)
        raise _foreign(model, path, f"it has nothing for {len(untouched)} layers, such as {untouched[0]}")


def _foreign(model: keras.Model, path: str, reason: str) -> UserError:
    return UserError(f"--weights={path} are not the weights of {model.name}: {reason}. Give those of the same model.")
