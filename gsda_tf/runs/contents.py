"""The files of a run's folder: each is read in one place by what it must be, and nobody checks it again."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from gsda_tf.compat import KERAS_3
from gsda_tf.errors import TrainingError, UserError
from gsda_tf.evaluation.accuracy import OPEN
from gsda_tf.evaluation.selection import SCORES
from gsda_tf.files import disk_errors, open_regular, read_regular, write_atomically
from gsda_tf.methods import all_options
from gsda_tf.settings import check_value, fields

SETTINGS, SUMMARY, METRICS, CHOICE = "settings.json", "summary.json", "metrics.jsonl", "choice.json"

_MOST_JSON, _MOST_LOG, _MOST_LINE = 2**24, 2**28, 2**16
"""Bytes of a JSON file, of the log, and of one of its lines."""
LARGEST = float(np.finfo(np.float32).max)
"""No number in a log is larger: what is logged are float32 numbers."""
_MOST_STEPS = 10**9


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
    return isinstance(value, list) and len(value) == 2 and fits(value[0], range(_MOST_STEPS)) and fits(value[1], str)


_FACT = (str, int, float, bool, None, [str], [[str]])
"""What else there may be: what a method has drawn or chosen."""
_NEEDED = ("extractor", "image_size", "method", "seed", "select", "steps", "task")
_SETTINGS = {
    "generation": str,
    "settings": dict.fromkeys(_NEEDED, lambda value: True),
    "task": str,
    "class_names": [str],
    "data": lambda value: fits(value, {"source": dict, "target": dict}) and fits(value, {str: {str: _counted}}),
}
_ACCURACIES = dict.fromkeys(("accuracy/source", "accuracy/target", "accuracy/target_mean_class"), (_share, None))
_CHOSEN = {"step": range(_MOST_STEPS + 1), **_ACCURACIES}
_SUMMARY = {
    "step": range(_MOST_STEPS + 1),
    "weights_sha256": str,
    "steps": range(1, _MOST_STEPS + 1),
    "seed": int,
    **dict.fromkeys(("task", "method", "workdir"), str),
    **dict.fromkeys(("images_per_second", "wall_seconds"), float),
    **_ACCURACIES,
    "doubts": [str],
    "export_dir": (str, None),
    "settings": dict,
}
_OPTIONAL = {
    "score": SCORES.__contains__,
    "target_per_class_accuracy": ({str: _share}, None),
    "accuracy_by_source": {str: _share},
    **dict.fromkeys(OPEN, _share),
    "target_shares": {str: _share},
    "selection": {"select": str, "last": _CHOSEN, "selected": _CHOSEN, "oracle": (_CHOSEN, None)},
    "versions": {str: str},
    "source_scored": ("held-out", "training").__contains__,
    "choice": str,
    "advice": str,
    **dict.fromkeys(("estimate/value", "estimate/low", "estimate/high"), _share),
    "warnings": [str],
}
_CHOICE = {
    "chosen": str,
    "advice": str,
    "scores": {str: {str: (float, None)}},
    "levels": [[_share]],
    "disagreements": [{"image": str, "agreement": _share, "answers": {str: str}}],
}
_KINDS = {"bool": bool, "int": int, "float": float, "str": str, "tuple[int, ...]": [int], "tuple[str, ...]": [str]}
"""Kinds of settings in JSON, where a tuple is a list, by how they are declared."""


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
    return _read(os.path.join(workdir, SETTINGS), _SETTINGS, {"code": {str: str}})


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
    return _read(os.path.join(workdir, SUMMARY), _SUMMARY, _OPTIONAL)


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
    told = _read(os.path.join(folder, "assets", SUMMARY), {}, {**_OPTIONAL, "settings": dict}) or {}
    path = os.path.join(folder, "assets", "class_names.json")
    names = _parsed(path, read_regular(path, _MOST_JSON)) if os.path.lexists(path) else None
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
    path = os.path.join(workdir, CHOICE)
    if not os.path.lexists(path):
        return None
    with disk_errors(f"reading {path}"):
        value = _parsed(path, read_regular(path, _MOST_JSON))
    if not fits(value, _CHOICE):
        raise damaged(path, f"expected {', '.join(_CHOICE)}")
    return value


def read_metrics(workdir: str) -> list[dict[str, Any]]:
    """Reads the lines of metrics.jsonl, in order: "step" and numbers by name, None where one was not finite; a last
    line that was cut off is left out.

    Raises:
      UserError: another line is no object of numbers, or has no step; see `read_settings`.
    """
    path = os.path.join(workdir, METRICS)
    if not os.path.lexists(path):
        return []
    with disk_errors(f"reading {path}"), open_regular(path, _MOST_LOG) as file:
        return [_line(path, number, text) for number, text in enumerate(_lines(file), start=1)]


def _lines(file) -> Iterator[bytes]:
    while text := file.readline(_MOST_LINE):
        if len(text) == _MOST_LINE or text.endswith(b"\n"):
            yield text


def _line(path: str, number: int, text: bytes) -> dict[str, Any]:
    line = _parsed(path, text, f"line {number}: ")
    # To Matplotlib, $ begins a formula.
    named = isinstance(line, dict) and all("$" not in key and key.isprintable() for key in line)
    if not (named and fits(line.get("step"), range(_MOST_STEPS + 1))):
        raise damaged(path, f"line {number} is {text.strip()[:60].decode('utf-8', 'replace')}")
    _check(path, line, lambda key: _ACCURACIES.get(key, (float, None)))
    return line


def _write(workdir: str, name: str, content: Mapping[str, Any]) -> None:
    write_atomically(os.path.join(workdir, name), json.dumps(content, indent=2) + "\n")


def _read(path: str, kinds: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Reads an object that has `kinds` by key, may have those of `optional`, and else facts only; None if there is no
    file."""
    if not os.path.lexists(path):
        return None
    with disk_errors(f"reading {path}"):
        value = _parsed(path, read_regular(path, _MOST_JSON))
    if not isinstance(value, dict):
        raise damaged(path, "without an object")
    if missing := sorted(set(kinds) - set(value)):
        raise damaged(path, f"without {', '.join(missing)}")
    _check(path, value, lambda key: {**(optional or {}), **kinds}.get(key, _FACT))
    _check_settings(path, value.get("settings", {}))
    return value


def _parsed(path: str, text: bytes, where: str = "") -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"{where}{error}") from error


def _any(value: Any) -> bool:
    return True


def _check(path: str, values: Mapping[str, Any], kind_of: Callable[[str], Any]) -> None:
    for key, value in values.items():
        if not fits(value, kind_of(key)):
            raise damaged(path, f"its {key} is {json.dumps(value)[:60]}")


def _check_settings(path: str, values: Mapping[str, Any]) -> None:
    """Kinds and ranges of settings, and of the options of this package's methods."""
    declared = {field.name: field for field in (*all_options().values(), *fields()) if field.name in values}
    # A method of a user's own may declare its types as types, or any other.
    written = {name: re.sub(r"<class .(\w+).>", r"\1", str(field.type)) for name, field in declared.items()}
    kinds = {name: _KINDS.get(kind, _any) for name, kind in written.items()}
    _check(path, {name: values[name] for name in declared}, kinds.__getitem__)
    for name, field in declared.items():
        try:
            check_value(field, tuple(values[name]) if isinstance(values[name], list) else values[name])
        except UserError as error:
            raise damaged(path, str(error).rstrip(".")) from error
