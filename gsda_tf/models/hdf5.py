"""Looks into an HDF5 file before its numbers are read: everything must lie in the file itself, as plain numbers."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

_MOST_LINKS, _MOST_WORDS = 200_000, 100_000
_MOST_ATTRIBUTE_BYTES = 64 * 2**20
_MOST_CHUNK_BYTES = 64 * 2**20
_MOST_RATIO = 20
"""Numbers of a network take so many times the room that they have in the file, at most: they do not shrink."""
_FILTERS = frozenset((h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32))
_LAYOUTS = (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED)
_WORDS = (h5py.h5t.STRING, h5py.h5t.INTEGER, h5py.h5t.FLOAT)


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
    with _readable(), h5py.File(path, "r") as file:
        _check_attributes(file["/"].id, "/")

        def look(name: bytes, link: Any) -> Exception | None:
            # What is raised in here would get lost on its way out; what is returned ends the visit.
            try:
                _look(file.id, name, link, found)
            except Exception as error:
                return error
            return None

        problem = file.id.links.visit(look, info=True)
        if problem is not None:
            raise problem
    sets = {name: shape for name, shape in found.items() if shape is not None}
    unpacked, status = sum(size for _, size in sets.values()), os.stat(path)
    # What a sparse file has no blocks for takes no room either.
    room = min(status.st_size, 512 * status.st_blocks or status.st_size)
    if unpacked > _MOST_CHUNK_BYTES + _MOST_RATIO * room:
        raise ValueError(f"it unpacks to {unpacked:,} bytes from {room:,}")
    return {name: shape for name, (shape, _) in sets.items()}


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError, UnicodeError) as error:
        raise ValueError(f"it is damaged, or no HDF5 file ({str(error).splitlines()[0][:200]})") from error


def _look(file: h5py.h5f.FileID, name: bytes, link: Any, found: dict[str, tuple[tuple[int, ...], int] | None]) -> None:
    """Adds the object behind a link, with its shape and bytes if it has any."""
    shown = name.decode("utf-8", "backslashreplace")
    if link.type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{shown} is a link to another place")
    if len(found) > _MOST_LINKS:
        raise ValueError(f"it has more than {_MOST_LINKS:,} objects")
    thing = h5py.h5o.open(file, name)
    _check_attributes(thing, shown)
    if not isinstance(thing, (h5py.h5d.DatasetID, h5py.h5g.GroupID)):
        raise ValueError(f"{shown} is neither group nor data set")
    found[shown] = _shape(thing, shown) if isinstance(thing, h5py.h5d.DatasetID) else None


def words(thing: h5py.HLObject, name: str) -> list[str]:
    """Reads an attribute that is a list of words, as Keras writes it: in one, or in parts with numbers behind the name.

    Raises:
      ValueError: it is something else.
    """
    parts = [name] if name in thing.attrs else []
    while f"{name}{len(parts)}" in thing.attrs:
        parts.append(f"{name}{len(parts)}")
    values = [value for part in parts for value in np.ravel(thing.attrs[part]).tolist()]
    if not all(isinstance(value, (str, bytes)) for value in values):
        raise ValueError(f"its {name} are no names")
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def _check_attributes(thing: Any, shown: str) -> None:
    for index in range(h5py.h5a.get_num_attrs(thing)):
        attribute = h5py.h5a.open(thing, index=index)
        count = attribute.get_space().get_simple_extent_npoints()
        kind = attribute.get_type()
        if kind.get_class() not in _WORDS or count > _MOST_WORDS or count * kind.get_size() > _MOST_ATTRIBUTE_BYTES:
            raise ValueError(f"an attribute of {shown} is neither words nor numbers")


def _shape(data: h5py.h5d.DatasetID, shown: str) -> tuple[tuple[int, ...], int]:
    plan = data.get_create_plist()
    # The layout first: asking a virtual data set for its shape opens other files.
    if plan.get_layout() not in _LAYOUTS or plan.get_external_count():
        raise ValueError(f"{shown} takes its numbers from another file")
    if any(plan.get_filter(index)[0] not in _FILTERS for index in range(plan.get_nfilters())):
        raise ValueError(f"{shown} is packed in an unusual way")
    kind = data.get_type()
    if kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT) or kind.get_size() > 8:
        raise ValueError(f"{shown} holds no numbers")
    if plan.get_layout() == h5py.h5d.CHUNKED:
        chunk = kind.get_size() * math.prod(plan.get_chunk())
        if chunk > max(_MOST_CHUNK_BYTES, data.get_storage_size() * _MOST_RATIO):
            raise ValueError(f"{shown} is unpacked in pieces of {chunk:,} bytes")
    return tuple(data.shape), kind.get_size() * math.prod(data.shape)
