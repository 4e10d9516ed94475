"""Tells the code and the networks that a run was trained with from those of now, where they are a user's own."""

import os
from collections.abc import Mapping

from gsda_tf import methods
from gsda_tf.files import path_digest
from gsda_tf.settings import Settings, several

_MOST_BYTES = 2**34


def digests(settings: Settings) -> dict[str, str]:
    """Computes a digest of each file or class that a setting names, by the name of the setting."""
    values = {"extractor": settings.model.extractor, "weights": settings.model.weights}
    parts = {name: filter(_has_end, several(value)) for name, value in values.items()}
    found = {name: ",".join(map(path_digest, paths)) for name, paths in parts.items()}
    found["method"] = methods.own_digest(settings.method.method)
    return {name: digest for name, digest in found.items() if digest}


def _has_end(path: str) -> bool:
    """Returns whether a path is of a model's file: a stranger's run may name / or a device."""
    return os.path.isabs(path) and os.path.isfile(path) and os.path.getsize(path) <= _MOST_BYTES


def changes(then: Mapping[str, str], settings: Settings) -> str:
    """Says which of them has another content now, for a message; "" if none has.

    Args:
      then: their digests, as far as they are known.
      settings: of now.
    """
    now, values = digests(settings), settings.flat()
    return "; ".join(f"--{name}={values[name]} has changed" for name in then if then[name] != now.get(name, then[name]))
