"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import Any

import numpy as np
import tensorflow as tf

from gsda_tf.compat import KERAS_3, tf_variable
from gsda_tf.errors import TrainingError
from gsda_tf.files import check_kinds, damaged, disk_errors, read_json, write_atomically
from gsda_tf.methods import all_options
from gsda_tf.settings import fields, is_array_file

# Settings that do not change what is computed: a run may go on with other values of these.
FREE = frozenset(
    {
        "workdir",
        "overwrite",
        "data_dir",
        "manual_dir",
        # Where data lie; what they are is told by their fingerprint.
        "source_dir",
        "target_dir",
        "source_list",
        "target_list",
        "image_root",
        "cache",
        "feature_cache_dir",
        "checkpoint_steps",
        "checkpoint_seconds",
        "keep_checkpoints",
        "export",
        "report",
        "evaluation_batch",
        "strategy",
        "cluster",
        "num_devices",
        "virtual_devices",
    }
)


_SHOWN = 8


def generation() -> str:
    """What checkpoints of one kind have in common: variables of Keras 2 and 3 are not ordered alike."""
    return "keras3" if KERAS_3 else "keras2"


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


def write_settings(workdir: str, settings: dict[str, Any], extra: dict[str, Any]) -> None:
    """Writes settings.json: all settings of the run and, in `extra`, its classes, its data, and what was drawn."""
    write_atomically(
        os.path.join(workdir, "settings.json"),
        json.dumps({"generation": generation(), "settings": settings, **extra}, indent=2) + "\n",
    )


def read_settings(workdir: str) -> dict[str, Any] | None:
    """What `write_settings` wrote; None if there is no run in `workdir`.

    Raises:
      UserError: it is damaged.
    """
    path = os.path.join(workdir, "settings.json")
    if not os.path.exists(path):
        return None
    kinds = {"generation": str, "settings": dict, "task": str, "class_names": [str], "data": dict}
    written = read_json(path, kinds, {"groups": [[str]]})
    missing = {"task", "method", "seed", "steps", "extractor", "image_size", "select"} - set(written["settings"])
    if missing:
        raise damaged(path, f"without the setting {min(missing)}")
    declared = (*all_options().values(), *fields())
    check_kinds(path, written["settings"], {field.name: _KINDS.get(field.type, object) for field in declared})
    return written


_KINDS = {"bool": bool, "int": int, "float": float, "str": str, "tuple[int, ...]": [int], "tuple[str, ...]": [str]}
"""Kinds of settings in JSON, where a tuple is a list, by how they are declared."""


def _is_free(name: str, now: Any, then: Any) -> bool:
    """Whether a setting may differ; arrays, too, may lie elsewhere, but a set of TFDS is what its name says."""
    if name in ("source", "target"):
        return is_array_file(str(now)) and is_array_file(str(then))
    return name in FREE


def check_same_run(workdir: str, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Refuses to go on with a run that was started with other settings.

    Returns:
      What `read_settings` gives.

    Raises:
      TrainingError: listing the differences.
    """
    before = read_settings(workdir)
    if before is None:
        return None
    if before["generation"] != generation():
        raise TrainingError(
            f"{workdir} holds a run of {before['generation']}, this is {generation()}: their checkpoints cannot be "
            "exchanged (exports can). Go on with the environment it was started in, or use another --workdir."
        )
    now = json.loads(json.dumps(settings))
    then = json.loads(json.dumps(before["settings"]))
    different = [
        f"--{name}={then.get(name)} then, {value} now"
        for name, value in now.items()
        if not _is_free(name, value, then.get(name)) and then.get(name) != value
    ]
    if different:
        raise TrainingError(
            f"{workdir} holds a run with other settings ({'; '.join(different[:_SHOWN])}"
            f"{f'; and {len(different) - _SHOWN} more' if len(different) > _SHOWN else ''}). Use those; or another "
            f"--workdir, with --init_from={workdir} to train on from its weights; or --overwrite to start anew."
        )
    return before
