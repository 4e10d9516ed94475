"""The files of a run's folder: each is read in one place by what it must be, and nobody checks it again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gsda_tf.compat import KERAS_3
from gsda_tf.data.npz import read_npz
from gsda_tf.errors import TrainingError, UserError
from gsda_tf.evaluation.accuracy import OPEN
from gsda_tf.evaluation.selection import SCORES
from gsda_tf.files import disk_errors, open_regular, read_regular, replacing, write_atomically
from gsda_tf.methods import all_options
from gsda_tf.settings import convert, fields

SETTINGS, SUMMARY, METRICS, CHOICE = "settings.json", "summary.json", "metrics.jsonl", "choice.json"

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
      kind: a type, where float means any number that float32 holds; a range of whole numbers; a list of one kind: such
        lists; a dict of one kind: objects of such values, or of several: objects with these keys, at least; a tuple:
        one of these; None; a function that says it.
    """
    if isinstance(kind, tuple):
        return any(fits(value, one) for one in kind)
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(item, kind[0]) for item in value)
    if isinstance(kind, dict):
        kinds = kind if str not in kind else dict.fromkeys(value, kind[str]) if isinstance(value, dict) else {}
        return isinstance(value, dict) and all(key in value and fits(value[key], one) for key, one in kinds.items())
    if kind is None:
        return value is None
    if kind is float:
        return type(value) in (int, float) and -LARGEST <= value <= LARGEST
    if isinstance(kind, range) or kind is int:
        return type(value) is int and value in (range(-(2**63), 2**63) if kind is int else kind)
    return type(value) is kind if isinstance(kind, type) else bool(kind(value))


def _share(value: Any) -> bool:
    return fits(value, float) and 0 <= value <= 1


def _counted(value: Any) -> bool:
    """Images of a class and a digest of them."""
    return isinstance(value, list) and len(value) == 2 and fits(value[0], _STEP) and fits(value[1], str)


_STEP = range(10**9 + 1)
_NEEDED = ("extractor", "image_size", "method", "seed", "steps", "task")
_ACCURACIES = dict.fromkeys(("accuracy/source", "accuracy/target", "accuracy/target_mean_class"), (_share, None))
_KINDS = {
    **dict.fromkeys(("advice", "choice", "chosen", "generation", "method", "task", "weights_sha256", "workdir"), str),
    **dict.fromkeys(("images_per_second", "wall_seconds"), float),
    **{name: [str] for name in ("class_names", "doubts", "warnings")},
    **{name: {str: str} for name in ("code", "versions")},
    **{name: {str: _share} for name in ("accuracy_by_source", "target_shares")},
    **dict.fromkeys((*OPEN, "estimate/value", "estimate/low", "estimate/high"), _share),
    **_ACCURACIES,
    "settings": dict,
    "data": lambda value: fits(value, {"source": dict, "target": dict}) and fits(value, {str: {str: _counted}}),
    "step": _STEP,
    "steps": _STEP[1:],
    "seed": int,
    "export_dir": (str, None),
    "score": SCORES.__contains__,
    "target_per_class_accuracy": ({str: _share}, None),
    "source_scored": ("held-out", "training").__contains__,
    "scores": {str: {str: (float, None)}},
    "levels": [[_share]],
    "disagreements": [{"image": str, "agreement": _share, "answers": {str: str}}],
}
"""What is what in the files of a run."""
_FACT = (str, int, float, bool, None, [str], [[str]])
"""What else there may be: what a method has drawn or chosen."""
_HOLDS = {
    SETTINGS: ("generation", "settings", "task", "class_names", "data"),
    SUMMARY: (
        "step", "steps", "seed", "task", "method", "workdir", "weights_sha256", "images_per_second", "wall_seconds",
        *_ACCURACIES, "doubts", "export_dir", "settings",
    ),
    CHOICE: ("chosen", "advice", "scores", "levels", "disagreements"),
}  # fmt: skip
"""What is in them at least."""


def damaged(path: str, how: str) -> UserError:
    """Returns what is said of a file that this package wrote, and that it cannot have left so."""
    return UserError(f"{path} is damaged ({how}): remove it, or start anew with --overwrite.")


def write_settings(workdir: str, settings: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    """Writes settings.json: all settings of the run and, in `extra`, its classes, data, code, and what was drawn."""
    _write(workdir, SETTINGS, {"generation": generation(), "settings": settings, **extra})


def read_settings(workdir: str) -> dict[str, Any] | None:
    """Reads what `write_settings` wrote; None if there is no run in `workdir`.

    Raises:
      UserError: it is damaged, or no file that could be read whole.
    """
    return _read(workdir, SETTINGS)


def check_generation(where: str, written: Mapping[str, Any]) -> None:
    """Raises TrainingError if a run, `read_settings`, was written by the other generation of Keras."""
    if written["generation"] != generation():
        raise TrainingError(
            f"{where} holds a run of {written['generation']}, this is {generation()}: their checkpoints cannot be "
            "exchanged, exports can. Use the environment that it was trained in, or another folder."
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
    check_generation(f"--{flag}={workdir}", written)
    return written


def write_summary(workdir: str, summary: Mapping[str, Any]) -> None:
    """Writes summary.json, which says that the run is finished."""
    _write(workdir, SUMMARY, summary)


def read_summary(workdir: str) -> dict[str, Any] | None:
    """Reads what `write_summary` wrote; None if the run is not finished. Raises as `read_settings`."""
    return _read(workdir, SUMMARY)


def read_exported(folder: str, flag: str) -> dict[str, Any]:
    """Reads the settings and the class names of the run that an export is of.

    Args:
      folder: of the version, `exported.find`.
      flag: by which it was given, for messages.

    Returns:
      "settings" by name and "class_names", at least.

    Raises:
      UserError: it does not hold them, or they are damaged; or it is of the other generation of Keras.
    """
    told = _read(os.path.join(folder, "assets"), SUMMARY, ()) or {}
    path = os.path.join(folder, "assets", "class_names.json")
    names = _content(path) if os.path.lexists(path) else None
    if not {"settings", "versions"} <= told.keys() or not fits(names, [str]) or len({*names}) < len(names):
        raise UserError(
            f"--{flag}={folder} does not tell the settings and classes of its run: expected summary.json and "
            "class_names.json in its assets, as in every export of a finished run."
        )
    made = told["versions"].get("keras", "")
    if f"keras{made[:1]}" != generation():
        raise TrainingError(
            f"--{flag}={folder} was exported with Keras {made}, which orders weights otherwise than that of now does: "
            "it answers here, but is adapted in an environment such as it was made in."
        )
    return {**told, "class_names": names}


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
    with disk_errors(f"reading {path}"), open_regular(path, _MOST_LOG) as file:
        for number, text in enumerate(iter(lambda: file.readline(_MOST_LINE), b""), start=1):
            if not text.endswith(b"\n") and len(text) < _MOST_LINE:
                break
            found.append(_parsed(path, text))
            if not (
                isinstance(found[-1], dict) and "step" in found[-1] and all(map(_logged, *zip(*found[-1].items())))
            ):
                raise damaged(path, f"line {number}")
    return found


def _logged(name: str, value: Any) -> bool:
    # To Matplotlib, $ begins a formula.
    kind = _STEP if name == "step" else _ACCURACIES.get(name, (float, None))
    return "$" not in name and name.isprintable() and fits(value, kind)


def _write(workdir: str, name: str, content: Mapping[str, Any]) -> None:
    write_atomically(os.path.join(workdir, name), json.dumps(content, indent=2) + "\n")


def _read(workdir: str, name: str, holds: Sequence[str] | None = None) -> dict[str, Any] | None:
    """Reads an object that has at least `holds`, by default what a file of that name has; None if there is no file."""
    path = os.path.join(workdir, name)
    if not os.path.lexists(path):
        return None
    value = _content(path)
    if not isinstance(value, dict):
        raise damaged(path, "no object")
    # What else stands in choice.json is for its reader.
    for key in (*(_HOLDS[name] if holds is None else holds), *(value if name != CHOICE else ())):
        if key not in value or not fits(value[key], _KINDS.get(key, _FACT)):
            raise damaged(path, f"its {key}")
    written = value.get("settings", {})
    if name == SETTINGS and not {*_NEEDED} <= written.keys():
        raise damaged(path, "its settings")
    # Options of a method of the user's own are not known here.
    for field in (field for field in (*all_options().values(), *fields()) if field.name in written):
        try:
            meant = convert(field, written[field.name])
        except UserError as error:
            raise damaged(path, str(error).rstrip(".")) from error
        if written[field.name] != (list(meant) if isinstance(meant, tuple) else meant):
            raise damaged(path, f"its {field.name}")
    return value


def _content(path: str) -> Any:
    with disk_errors(f"reading {path}"):
        return _parsed(path, read_regular(path, _MOST_JSON))


def _parsed(path: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from error


SNAPSHOT = "evaluation.npz"

# Kinds and dimensions, and the array that tells how many rows there are.
_ARRAYS = {
    "target_labels": ("iu", 1, "target_probabilities"),
    "target_probabilities": ("f", 2, "target_probabilities"),
    "target_agreement": ("f", 1, "target_probabilities"),
    "source_labels": ("iu", 1, "source_labels"),
    "source_counts": ("iu", 1, "source_counts"),
    "source_features_before": ("f", 2, "source_labels"),
    "source_features": ("f", 2, "source_labels"),
    "target_indices": ("iu", 1, "target_indices"),
    "target_features_before": ("f", 2, "target_indices"),
    "target_features": ("f", 2, "target_indices"),
    **{f"{kind}_indices": ("iu", 1, f"{kind}_indices") for kind in ("mistake", "sure", "unsure")},
    **{f"{kind}_images": ("u", 4, f"{kind}_indices") for kind in ("mistake", "sure", "unsure")},
    **{f"{kind}_names": ("U", 1, f"{kind}_indices") for kind in ("mistake", "sure", "unsure")},
}
_MOST_BYTES = 2**32
"""Of these arrays, unpacked."""


def write_snapshot(workdir: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name; `training.evaluator.Evaluator.keep` says which there are."""
    with replacing(os.path.join(workdir, SNAPSHOT)) as file:
        np.savez_compressed(file, **arrays)


def read_snapshot(workdir: str, classes: int) -> dict[str, np.ndarray]:
    """Reads what `write_snapshot` wrote; nothing if it has written nothing yet.

    Args:
      workdir: of the run.
      classes: r.

    Raises:
      UserError: it is damaged, or no file that could be read whole.
    """
    path = os.path.join(workdir, SNAPSHOT)
    if not os.path.lexists(path):
        return {}
    try:
        arrays = read_npz(path, tuple(_ARRAYS), _MOST_BYTES)
        _check(arrays, classes)
    except (UserError, ValueError, KeyError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}): remove it, and the report is made without it.") from error
    return arrays


def _check(arrays: Mapping[str, np.ndarray], classes: int) -> None:
    """Raises ValueError or KeyError if the arrays do not fit together."""
    for name, value in arrays.items():
        kinds, dimensions, rows = _ARRAYS[name]
        counts = (len(arrays[rows]), 0) if name.endswith("_images") else (len(arrays[rows]),)  # none of features
        if value.dtype.kind not in kinds or value.ndim != dimensions or len(value) not in counts:
            raise ValueError(f"its {name} are {value.dtype} {list(value.shape)}")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"its {name} are not finite")
        most = classes if name.endswith("labels") else len(arrays.get("target_labels", ()))
        known = name.endswith("labels") or ("target_labels" in arrays and name.endswith("_indices"))
        if known and ((value < -name.endswith("labels")) | (value >= most)).any():
            raise ValueError(f"its {name} are of no {'class' if name.endswith('labels') else 'image'}")
        if name.startswith("target_features"):
            width = arrays[name.replace("target", "source")].shape[1]
            if value.shape[1] != width:
                raise ValueError(f"its {name} are {value.shape[1]} numbers each, of the source {width}")
    for name, axis in {"target_probabilities": 1, "source_counts": 0}.items():
        if name in arrays and arrays[name].shape[axis] != classes:
            raise ValueError(f"its {name} are not of {classes} classes")
