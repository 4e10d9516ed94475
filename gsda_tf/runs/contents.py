"""The files of a run's folder: each is read in one place by what it must be, and nobody checks it again."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from gsda_tf.compat import KERAS_3
from gsda_tf.data.npz import read_npz
from gsda_tf.errors import TrainingError, UserError, explained
from gsda_tf.files import disk_errors, open_regular, read_regular, replacing, write_atomically
from gsda_tf.methods import all_options
from gsda_tf.settings import convert, fields

SETTINGS, SUMMARY, METRICS, CHOICE = "settings.json", "summary.json", "metrics.jsonl", "choice.json"
SNAPSHOT = "evaluation.npz"

_MOST_JSON, _MOST_LOG, _MOST_LINE = 2**24, 2**28, 2**16
"""Bytes of a JSON file, of the log, and of one of its lines."""
LARGEST = float(np.finfo(np.float32).max)
"""No number in a log is larger: what is logged are float32 numbers."""


def generation() -> str:
    """Returns what checkpoints of one kind have in common: variables of Keras 2 and 3 are not ordered alike."""
    return "keras3" if KERAS_3 else "keras2"


def fits(value: Any, kind: Any) -> bool:
    """Returns whether a value from JSON is of a kind.

    Args:
      value: from JSON.
      kind: a type, where float means any number that float32 holds; a list of one kind: such lists; a dict of one kind:
        objects of such values, or of several: objects with these keys, at least; a tuple: one of these; None.
    """
    if isinstance(kind, tuple):
        return any(fits(value, one) for one in kind)
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(item, kind[0]) for item in value)
    if isinstance(kind, dict):
        kinds = kind if str not in kind else dict.fromkeys(value, kind[str]) if isinstance(value, dict) else {}
        return isinstance(value, dict) and all(key in value and fits(value[key], one) for key, one in kinds.items())
    if kind is float:
        return type(value) in (int, float) and -LARGEST <= value <= LARGEST
    return value is None if kind is None else type(value) is kind


_COUNTED = {str: [(int, str)]}
"""Images of a class and a digest of them, see `data.fingerprint`."""
_HOLDS = {
    SETTINGS: {
        "generation": str,
        "settings": {"extractor": str, "image_size": int, "method": str, "seed": int, "steps": int, "task": str},
        "task": str,
        "class_names": [str],
        "code": {str: str},
        "data": {"source": _COUNTED, "target": _COUNTED},
    },
    SUMMARY: {
        **dict.fromkeys(("task", "method", "workdir", "weights_sha256", "score"), str),
        **dict.fromkeys(("step", "steps", "seed"), int),
        **dict.fromkeys(("images_per_second", "wall_seconds"), float),
        **dict.fromkeys(("accuracy/source", "accuracy/target", "accuracy/target_mean_class"), (float, None)),
        "doubts": [str],
        "target_per_class_accuracy": ({str: float}, None),
        "export_dir": (str, None),
        "settings": dict,
    },
    CHOICE: {"chosen": str, "advice": str},
}
"""What is in the files of a run at least. What else there is is for its reader, see `as_written`."""


def as_written(workdir: str) -> contextlib.AbstractContextManager[None]:
    """Turns an error inside the block, which trusts the files of a run to be as they were written, into one message.

    Args:
      workdir: of the run.

    Raises:
      UserError: they are not so: damaged, or changed by hand.
    """
    todo = f"Remove its {SUMMARY} and {SNAPSHOT}, and it goes on from its checkpoint; or start anew with --overwrite."
    kinds = LookupError, TypeError, ValueError, AttributeError, ArithmeticError
    return explained(f"{workdir} is damaged, or of another version", todo, kinds)


def _damaged(path: str) -> contextlib.AbstractContextManager[None]:
    """Turns an error inside the block into one message: a file of this package was damaged after it was written."""
    kinds = UserError, ValueError, RecursionError, AttributeError
    return explained(f"{path} is damaged", "Remove it, or start anew with --overwrite.", kinds)


def described(settings: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what settings.json holds: all settings of a run and, in `extra`, its task and classes, and its data, code
    and what was drawn, which an export of it does not tell."""
    return {"generation": generation(), "settings": settings, "data": {"source": {}, "target": {}}, **extra}


def write_settings(workdir: str, settings: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    """Writes settings.json, `described`."""
    _write(workdir, SETTINGS, described(settings, extra))


def read_settings(workdir: str) -> dict[str, Any] | None:
    """Reads what `write_settings` wrote; None if there is no run in `workdir`.

    Raises:
      UserError: it is damaged, or no file that could be read whole.
    """
    return _read(workdir, SETTINGS)


def check_generation(where: str, made: str) -> None:
    """Raises TrainingError if weights were written by the other generation of Keras, `made`."""
    if made != generation():
        raise TrainingError(
            f"{where} is of {made}, this is {generation()}: their weights are ordered otherwise, not to be exchanged, "
            "though exports answer in both. Use the environment that it was made in, or another folder."
        )


def settings_of(workdir: str, flag: str = "workdir") -> dict[str, Any]:
    """Reads settings.json of a run whose weights are wanted.

    Args:
      workdir: its folder.
      flag: by which it was given, for messages.

    Raises:
      UserError: there is none, or it is damaged.
      TrainingError: it was written by the other generation of Keras.
    """
    written = read_settings(workdir)
    if written is None:
        raise UserError(f"--{flag}={workdir} holds no run: expected settings.json and checkpoints/ there.")
    check_generation(f"--{flag}={workdir}", written["generation"])
    return written


def write_summary(workdir: str, summary: Mapping[str, Any]) -> None:
    """Writes summary.json, which says that the run is finished."""
    _write(workdir, SUMMARY, summary)


def read_summary(workdir: str) -> dict[str, Any] | None:
    """Reads what `write_summary` wrote; None if the run is not finished. Raises as `read_settings`."""
    return _read(workdir, SUMMARY)


def read_choice(workdir: str) -> dict[str, Any] | None:
    """Reads choice.json, which `--method=auto` leaves; None if there is none. Raises as `read_settings`."""
    return _read(workdir, CHOICE)


def read_metrics(workdir: str) -> list[dict[str, Any]]:
    """Reads the lines of metrics.jsonl, in order: "step" and numbers by name, None where one was not finite; a last
    line that was cut off is left out.

    Raises:
      UserError: another line is no object of numbers, or has no step; see `read_settings`.
    """
    path, found = os.path.join(workdir, METRICS), []
    if not os.path.lexists(path):
        return found
    with disk_errors(f"reading {path}"), open_regular(path, _MOST_LOG) as file, _damaged(path):
        for number, text in enumerate(iter(lambda: file.readline(_MOST_LINE), b""), start=1):
            if not text.endswith(b"\n") and len(text) < _MOST_LINE:
                break
            line = json.loads(text)
            # To Matplotlib, $ begins a formula.
            if not fits(line, {"step": int}) or any("$" in name or not name.isprintable() for name in line):
                raise ValueError(f"line {number}")
            if not fits(line, {str: (float, None)}):
                raise ValueError(f"line {number}")
            found.append(line)
    return found


def _write(workdir: str, name: str, content: Mapping[str, Any]) -> None:
    write_atomically(os.path.join(workdir, name), json.dumps(content, indent=2) + "\n")


def _read(workdir: str, name: str) -> dict[str, Any] | None:
    """Reads an object that has at least what a file of that name has; None if there is no file."""
    path = os.path.join(workdir, name)
    if not os.path.lexists(path):
        return None
    with disk_errors(f"reading {path}"):
        text = read_regular(path, _MOST_JSON)
    with _damaged(path):
        value = json.loads(text)
        for key, kind in _HOLDS[name].items():
            if not fits(value.get(key, {}), kind):
                raise ValueError(f"its {key}")
        written = value.get("settings", {})
        # Options of a method of the user's own are not known here.
        for field in (field for field in (*all_options().values(), *fields()) if field.name in written):
            meant = convert(field, written[field.name])
            if written[field.name] != (list(meant) if isinstance(meant, tuple) else meant):
                raise ValueError(f"its {field.name}")
    return value


_ARRAYS = (
    *("target_labels", "target_probabilities", "target_agreement", "source_labels", "source_counts", "target_indices"),
    *(f"{role}_features{when}" for role in ("source", "target") for when in ("", "_before")),
    *(f"{kind}_{of}" for kind in ("mistake", "sure", "unsure") for of in ("indices", "images", "names")),
)
_MOST_BYTES = 2**32
"""Of these arrays, unpacked."""


def write_snapshot(workdir: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name; `training.evaluator.Evaluator.keep` says which there are."""
    with replacing(os.path.join(workdir, SNAPSHOT)) as file:
        np.savez(file, **arrays)


def read_snapshot(workdir: str) -> dict[str, np.ndarray]:
    """Reads what `write_snapshot` wrote; nothing if it has written nothing yet.

    Raises:
      UserError: it is damaged, or no file that could be read whole.
    """
    path = os.path.join(workdir, SNAPSHOT)
    if not os.path.lexists(path):
        return {}
    todo = "Remove it, and the report is made without it."
    with explained(f"{path} cannot be read", todo, (UserError, ValueError, OSError)):
        return read_npz(path, _ARRAYS, _MOST_BYTES)
