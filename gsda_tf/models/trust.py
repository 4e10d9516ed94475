"""Looks into a saved Keras model before Keras does: a file from elsewhere must not run code of its own.

Keras's safe mode refuses lambdas in `.keras` files, but it imports whatever function or class the file names, and it
does not look at HDF5 files at all.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from typing import Any

from gsda_tf.errors import UserError

_MAX_CONFIG_BYTES = 64 * 2**20
_MAX_TOTAL_BYTES = 16 * 2**30
_TOPICS = frozenset(
    (
        "activations", "applications", "constraints", "dtype_policies", "engine", "initializers", "layers",
        "mixed_precision", "models", "ops", "random", "regularizers",
    )
)  # fmt: skip
"""Modules of Keras that a network is made of; `saving` or `utils`, say, hold functions that do other things."""
# TensorFlow functions that a functional model calls by name: arithmetic yes, files and Python no.
_NAMESPACES = frozenset(("__operators__", "bitwise", "image", "linalg", "math", "nn", "signal", "sparse", "strings"))
_NO_FUNCTIONS = ("py_function", "numpy_function", "load_", "print", "eval", "function", "import_", "init_scope")


def refuse_unsafe(path: str) -> list[dict]:
    """Makes sure that a saved model holds nothing but layers of Keras.

    Args:
      path: of a `.keras` file.

    Returns:
      Everything in it that Keras would make an object of, as its configuration says.

    Raises:
      UserError: it is another kind of file, is damaged, or names code that is not Keras's.
    """
    if not path.endswith(".keras") or not zipfile.is_zipfile(path):
        raise UserError(
            f"--extractor={path} is no .keras file: expected a model saved with model.save('FILE.keras'). Models in "
            "HDF5 or as folders are not loaded, for Keras cannot load them safely; weights alone go to --weights."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(info.file_size for info in archive.infolist())
            if total > _MAX_TOTAL_BYTES or archive.getinfo("config.json").file_size > _MAX_CONFIG_BYTES:
                raise UserError(f"--extractor={path} unpacks to {total:,} bytes: it is not what it seems.")
            config = json.loads(archive.read("config.json"))
    except (KeyError, ValueError, OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise UserError(f"--extractor={path} is damaged ({error}): get or save it anew.") from error
    if isinstance(config, dict):
        config.pop("compile_config", None)  # never read: nothing is compiled
    parts = list(_parts(config))
    for part in parts:
        problem = _problem(part)
        if problem:
            raise UserError(
                f"--extractor={path} was not loaded: {problem}. Expected a model of Keras's own layers, without Lambda "
                "layers."
            )
    return parts


def _parts(value: Any) -> Iterator[dict]:
    """Everything inside that Keras would make an object of."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)


def _problem(part: dict) -> str | None:
    name, module, config = str(part["class_name"]), part.get("module"), part.get("config")
    if name in ("Lambda", "__lambda__"):
        return "it holds a lambda, that is, code"
    if module is not None and module != "builtins":
        words = str(module).split(".")
        topic = next((word for word in words[1:] if word != "src"), None)
        if words[0] != "keras" or (topic is not None and topic not in _TOPICS):
            return f"it names {name} of {module}, which is no part of a Keras network"
    if name in ("TFOpLambda", "SlicingOpLambda") and isinstance(config, dict):
        function = str(config.get("function", ""))
        space, _, plain = function.rpartition(".")
        if (space and space.split(".")[0] not in _NAMESPACES) or plain.startswith(_NO_FUNCTIONS):
            return f"it calls tf.{function}, which is no arithmetic"
    return None
