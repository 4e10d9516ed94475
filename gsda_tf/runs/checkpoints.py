"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import contextlib
import glob
import math
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.errors import TrainingError, UserError, explained
from gsda_tf.files import disk_errors
from gsda_tf.runs import exported
from gsda_tf.settings import flag

_MOST_INDEX = 2**26
_DAMAGED = (tf.errors.OpError, ValueError, AssertionError, LookupError, OSError, RuntimeError)
"""What TensorFlow raises about a checkpoint that is damaged, or not of these variables."""


def variables(*models: tf.Module | Any) -> list[tf.Variable]:
    """The TensorFlow variables of Keras models, in their fixed order; a variable stands for itself."""
    groups = ([model] if isinstance(model, tf.Variable) else model.variables for model in models)
    return [tf_variable(v) for group in groups for v in group]


class Checkpoints:
    """Saves and restores variables, with the newest damaged files passed over.

    Args:
      state: everything a run needs, lists of variables by name.
      workdir: of the run.
      keep: how many are kept.
      write: False on workers that only read.
    """

    def __init__(self, state: dict[str, list[tf.Variable]], workdir: str, keep: int, write: bool = True):
        self._state, self._workdir, self._keep, self._write = state, workdir, keep, write
        self._checkpoint = tf.train.Checkpoint(**state)
        self._folder = os.path.join(workdir, "checkpoints")
        if write:
            self._remove(lambda name: name.startswith("ckpt-") and "temp" in name)

    def save(self, step: int) -> None:
        """Writes a checkpoint of `step` and removes the oldest.

        Raises:
          TrainingError: a weight is not finite; nothing is written.
          DiskError: the disk is full, or the folder cannot be written.
        """
        for variable in (v for group in self._state.values() for v in group):
            if variable.dtype.is_floating and not np.isfinite(variable.numpy()).all():
                raise TrainingError(
                    f"{variable.name} is not finite at step {step}: no checkpoint of it is written. Try a smaller "
                    "--learning_rate or --precision=float32."
                )
        if not self._write:
            return
        with disk_errors(f"writing a checkpoint to {self._folder}"):
            os.makedirs(self._folder, exist_ok=True)
            try:
                self._checkpoint.write(os.path.join(self._folder, f"ckpt-{step}"))
            except BaseException:
                self._remove(lambda name: "temp" in name)  # it would take the room that is wanted
                raise
            for path in paths(self._workdir)[: -self._keep]:
                self._remove(re.compile(rf"{os.path.basename(path)}\.").match)

    def kept(self) -> str:
        """Returns what is left to go on from, for a message."""
        found = paths(self._workdir)
        return f"The last good checkpoint is {found[-1]}." if found else "No checkpoint had been written before."

    def restore(self) -> int:
        """Restores the newest checkpoint that is whole, and returns its step; 0 if there is none."""
        path, _ = newest(self._workdir)
        if path:
            read_into(self._state, path)
        return _step(path) if path else 0

    def _remove(self, wanted: Callable[[str], Any]) -> None:
        """Removes files, and folders that a process that was killed has left, by name; those of an index first, without
        which the rest is no checkpoint."""
        with contextlib.suppress(OSError):
            for name in sorted(filter(wanted, os.listdir(self._folder)), key=lambda name: not name.endswith(".index")):
                path = os.path.join(self._folder, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def _step(path: str) -> int:
    return int(path.rpartition("-")[2])


def paths(workdir: str, descending: bool = False) -> list[str]:
    """Returns the checkpoints on disk by step, also those that a damaged index file forgot."""
    folder = os.path.join(workdir, "checkpoints")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    steps = {int(found[1]) for found in map(re.compile(r"ckpt-(\d{1,18})\.(?!.*temp)").match, names) if found}
    return [os.path.join(folder, f"ckpt-{step}") for step in sorted(steps, reverse=descending)]


def _read_through(path: str) -> Any:
    """Reads all of a checkpoint, sums checked, and returns its reader.

    Raises:
      ValueError, or TensorFlow's errors: it is damaged.
    """
    parts = glob.glob(f"{glob.escape(path)}.*")
    if not all(map(os.path.isfile, parts)):  # a pipe would be waited for, a device has no end
        raise ValueError("it is made of what are no files")
    if any(os.path.getsize(name) > _MOST_INDEX for name in parts if name.endswith(".index")):
        raise ValueError(f"its index has more than {_MOST_INDEX:,} bytes")
    reader = tf.train.load_checkpoint(path)
    shapes, kinds = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    if sum(math.prod(shapes[name]) * kinds[name].size for name in shapes) > sum(map(os.path.getsize, parts)):
        raise ValueError("its index tells of more than it has")
    for name in shapes:
        reader.get_tensor(name)
    return reader


def read_into(state: Mapping[str, Sequence[tf.Variable]], path: str) -> None:
    """Gives variables, by name, what a whole checkpoint has.

    Raises:
      UserError: it has not all of them.
    """
    with explained(f"{path} is of other networks than settings.json beside it tells", "One was changed.", _DAMAGED):
        tf.train.Checkpoint(**state).read(path).expect_partial().assert_existing_objects_matched()


def newest(workdir: str, step: int | None = None) -> tuple[str, Any]:
    """Returns (path, reader of its values by name) of the newest checkpoint that is whole, or of the one of `step`, or
    of the weights of an export; ("", None) if there is none. Damaged ones are told and passed over."""
    export = exported.find(workdir)
    for path in [os.path.join(export, "variables", "variables")] if export else paths(workdir, descending=True):
        if step is None or path.endswith(f"-{step}"):
            try:
                return path, _read_through(path)
            except _DAMAGED as error:
                print(f"Damaged checkpoint passed over: {path}: {str(error).splitlines()[0][:120]}", flush=True)
    return "", None


_HARMLESS = 4096


def check_widths(workdir: str, settings: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> None:
    """Refuses settings that would build networks very much larger than those whose weights there are.

    Args:
      workdir: of the run.
      settings: by name, of its folder.
      shapes: of the variables in its checkpoint, by name.

    Raises:
      UserError: naming one.
    """
    known = {width for shape in shapes.values() for width in shape}
    for name, value in settings.items():
        if not name.endswith("_units") or name == "discriminator_units":
            continue
        many = isinstance(value, tuple)
        wrong = [width for width in (value if many else (value,)) if width not in known and (many or width > _HARMLESS)]
        if wrong or (many and len(value) > len(shapes)):
            raise UserError(
                f"{workdir} is damaged: settings.json tells of {flag(name, value)}, and its checkpoint has nothing of "
                "that width."
            )
