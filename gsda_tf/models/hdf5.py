"""Looks into an HDF5 file before its numbers are read: everything must lie in the file itself, as plain numbers."""

from __future__ import annotations

import math
import os
from typing import Any

import h5py

_MOST_LINKS, _MOST_WORDS = 200_000, 100_000
_MOST_BYTES = 64 * 2**20
"""Of an attribute, or of what is unpacked at a time."""
_MOST_RATIO = 20
"""Numbers of a network take so many times the room that they have in the file, at most: they do not shrink."""
_FILTERS = frozenset((h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32))
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
