"""Weights files: looked into before their numbers are read, and refused when they are another model's.

Everything must lie in the file itself, as plain numbers.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import h5py
import keras
import numpy as np

from gsda_tf.errors import UserError, explained

_NOT_READ = ("optimizer/", "metrics/", "loss_tracker/", "_loss_tracker/", "compile_metrics/", "_compile_metrics/")
"""Beside the weights of a model that was compiled. Here none is, so Keras asks for none of it."""

_MOST_LINKS, _MOST_WORDS = 200_000, 100_000
_MOST_BYTES = 64 * 2**20
"""Of an attribute, or of what is unpacked at a time."""
_MOST_RATIO = 20
"""Numbers of a network take so many times the room that they have in the file, at most: they do not shrink."""
_FILTERS = frozenset((h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32))
_WORDS = (h5py.h5t.STRING, h5py.h5t.INTEGER, h5py.h5t.FLOAT)


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
      UserError: no such file, not a weights file, or not of this model, which is spoilt then.
    """
    check_there(path)
    with explained(f"--weights={path} are not the weights of {model.name}", "Expected a Keras weights file of it."):
        shapes = data_sets(path)
        with h5py.File(path, "r") as file:
            attributes = file.get("model_weights", file).attrs
            older = any(name.startswith("layer_names") for name in attributes)
        if not older:
            check_shapes(model, shapes)
            load_checked(model, path)
        else:  # by the layers' order or, where the file also holds the ImageNet top, by their names
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


def data_sets(path: str) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every data set by its name in the file. No number is read, and no other file is opened.

    Args:
      path: of a file.

    Raises:
      ValueError: it is no HDF5 file, is damaged, or holds what weights do not need: links, data in other files,
        filters that plug-ins bring, types that are no numbers, attributes that are no words; or far more numbers than
        the file has room for.
    """
    found: dict[str, tuple[tuple[int, ...], int] | None] = {}

    def look(name: bytes, link: Any) -> Exception | None:
        # What is raised in here would get lost on its way out; what is returned ends the visit.
        try:
            shown = name.decode("utf-8", "backslashreplace")
            if link.type != h5py.h5l.TYPE_HARD:
                raise ValueError(f"{shown} is a link to another place")
            if len(found) > _MOST_LINKS:
                raise ValueError(f"it has more than {_MOST_LINKS:,} objects")
            found[shown] = _checked(h5py.h5o.open(file.id, name), shown)
        except Exception as error:
            return error
        return None

    try:
        with h5py.File(path, "r") as file:
            _checked(file["/"].id, "/")
            problem = file.id.links.visit(look, info=True)
            if problem is not None:
                raise problem
    except (OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError, UnicodeError) as error:
        raise ValueError(f"it is damaged, or no HDF5 file ({str(error).splitlines()[0][:200]})") from error
    sets = {name: of for name, of in found.items() if of}
    unpacked, status = sum(size for _, size in sets.values()), os.stat(path)
    # What a sparse file has no blocks for takes no room either.
    room = min(status.st_size, 512 * status.st_blocks or status.st_size)
    if unpacked > _MOST_BYTES + _MOST_RATIO * room:
        raise ValueError(f"it unpacks to {unpacked:,} bytes from {room:,}")
    return {name: shape for name, (shape, _) in sets.items()}


def _checked(thing: Any, shown: str) -> tuple[tuple[int, ...], int] | None:
    """Returns shape and bytes of a data set, None of a group.

    Raises:
      ValueError: it is anything else, or has what a weights file does not need.
    """
    for index in range(h5py.h5a.get_num_attrs(thing)):
        attribute = h5py.h5a.open(thing, index=index)
        count = attribute.get_space().get_simple_extent_npoints()
        kind = attribute.get_type()
        if kind.get_class() not in _WORDS or count > _MOST_WORDS or count * kind.get_size() > _MOST_BYTES:
            raise ValueError(f"an attribute of {shown} is neither words nor numbers")
    if isinstance(thing, h5py.h5g.GroupID):
        return None
    if not isinstance(thing, h5py.h5d.DatasetID):
        raise ValueError(f"{shown} is neither group nor data set")
    plan, kind = thing.get_create_plist(), thing.get_type()
    # The layout first: asking a virtual data set for its shape opens other files.
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        raise ValueError(f"{shown} takes its numbers from another file")
    if any(plan.get_filter(index)[0] not in _FILTERS for index in range(plan.get_nfilters())):
        raise ValueError(f"{shown} is packed in an unusual way")
    if kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT) or kind.get_size() > 8:
        raise ValueError(f"{shown} holds no numbers")
    chunk = kind.get_size() * math.prod(plan.get_chunk()) if plan.get_layout() == h5py.h5d.CHUNKED else 0
    if chunk > max(_MOST_BYTES, thing.get_storage_size() * _MOST_RATIO):
        raise ValueError(f"{shown} is unpacked in pieces of {chunk:,} bytes")
    return tuple(thing.shape), kind.get_size() * math.prod(thing.shape)
