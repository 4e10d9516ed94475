"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import contextlib
import glob
import math
import os
import re
import shutil
from typing import Any

import numpy as np
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.errors import TrainingError
from gsda_tf.files import disk_errors

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
        self._state = state
        self._checkpoint = tf.train.Checkpoint(**state)
        self._workdir, self._folder = workdir, os.path.join(workdir, "checkpoints")
        self._manager = None
        if write:
            self._remove_unfinished()
            self._list_again()
            self._manager = tf.train.CheckpointManager(self._checkpoint, self._folder, max_to_keep=keep)

    def save(self, step: int) -> None:
        """Writes a checkpoint of `step`.

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
        if self._manager is None:
            return
        with disk_errors(f"writing a checkpoint to {self._folder}"):
            try:
                self._manager.save(checkpoint_number=step)
            except BaseException:
                self._remove_unfinished()  # it would take the room that is wanted
                raise

    def kept(self) -> str:
        """What is left to go on from, for a message."""
        found = paths(self._workdir)
        return f"The last good checkpoint is {found[-1]}." if found else "No checkpoint had been written before."

    def _list_again(self) -> None:
        """Writes TensorFlow's list of checkpoints from what is there: the list may be damaged, or older."""
        found = paths(self._workdir)
        with disk_errors(f"writing to {self._folder}"):
            if found:
                tf.compat.v1.train.update_checkpoint_state(self._folder, found[-1], found)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(os.path.join(self._folder, "checkpoint"))

    def _remove_unfinished(self) -> None:
        """Removes what a process that was killed while it wrote has left."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self._folder):
                if name.startswith(("ckpt-", "selected-")) and "temp" in name:
                    path = os.path.join(self._folder, name)
                    shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)

    def restore(self, step: int | None = None) -> tuple[int, list[str]]:
        """Restores the newest checkpoint that is whole, or the one of `step`.

        Returns:
          (its step, 0 if there is none; what was damaged and passed over).
        """
        damaged = []
        for path in paths(self._workdir, descending=True):
            if step is not None and not path.endswith(f"-{step}"):
                continue
            try:
                # Read through first, sums checked: restoring half of it would leave a mixture.
                _read_through(path)
                self._checkpoint.restore(path).assert_existing_objects_matched()
            except _DAMAGED as error:
                damaged.append(f"{path}: {str(error).splitlines()[0][:120]}")
                continue
            return int(path.rsplit("-", 1)[1]), damaged
        return 0, damaged


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


def newest(workdir: str, step: int | None = None) -> tuple[str, Any]:
    """Returns (path, reader of its values by name) of the newest checkpoint that is whole, or of the one of `step`;
    ("", None) if there is none."""
    for path in paths(workdir, descending=True):
        if step is None or path.endswith(f"-{step}"):
            with contextlib.suppress(*_DAMAGED):
                return path, _read_through(path)
    return "", None
