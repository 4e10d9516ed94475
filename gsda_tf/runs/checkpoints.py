"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any

import numpy as np
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.errors import TrainingError
from gsda_tf.files import disk_errors


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
        self._folder = os.path.join(workdir, "checkpoints")
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
        paths = self.steps()
        return f"The last good checkpoint is {paths[-1]}." if paths else "No checkpoint had been written before."

    def _list_again(self) -> None:
        """Writes TensorFlow's list of checkpoints from what is there: the list may be damaged, or older."""
        paths = self.steps()
        with disk_errors(f"writing to {self._folder}"):
            if paths:
                tf.compat.v1.train.update_checkpoint_state(self._folder, paths[-1], paths)
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
        for path in self.steps(descending=True):
            if step is not None and not path.endswith(f"-{step}"):
                continue
            try:
                # Read through first, sums checked: restoring half of it would leave a mixture.
                _read_through(path)
                self._checkpoint.restore(path).assert_existing_objects_matched()
            except (tf.errors.OpError, ValueError, AssertionError, LookupError, OSError, RuntimeError) as error:
                damaged.append(f"{path}: {str(error).splitlines()[0][:120]}")
                continue
            return int(path.rsplit("-", 1)[1]), damaged
        return 0, damaged

    def steps(self, descending: bool = False) -> list[str]:
        """Paths of the checkpoints on disk by step, also those that a damaged index file forgot."""
        if not os.path.isdir(self._folder):
            return []
        found = {
            os.path.join(self._folder, name.rsplit(".", 1)[0] if name.endswith(".index") else name.split(".data")[0])
            for name in os.listdir(self._folder)
            if name.startswith("ckpt-") and "temp" not in name
        }
        found = [path for path in found if path.rsplit("-", 1)[1].isdigit()]
        return sorted(found, key=lambda path: int(path.rsplit("-", 1)[1]), reverse=descending)


def _read_through(path: str) -> Any:
    reader = tf.train.load_checkpoint(path)
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)
    return reader


def newest(workdir: str) -> tuple[str, Any]:
    """(path, reader of its values by name) of the newest checkpoint that is whole; ("", None) if there is none."""
    for path in Checkpoints({}, workdir, 1, write=False).steps(descending=True):
        with contextlib.suppress(tf.errors.OpError, ValueError, LookupError, OSError, RuntimeError):
            return path, _read_through(path)
    return "", None
