"""The weights of the evaluation that a label-free score likes best, kept beside the checkpoints."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from gsda_tf.errors import UserError
from gsda_tf.evaluation import selection
from gsda_tf.files import disk_errors


class SelectedWeights:
    """Keeps `checkpoints/selected-<step>`: the variables of E and C at the best evaluation so far.

    A run that is resumed goes back to its last checkpoint, so until the next one is written the best evaluation up
    to the last stays on disk too.

    Args:
      state: variables of E and C by name.
      workdir: of the run.
      select: a name in `selection.CRITERIA`; with "last" nothing is kept.
    """

    def __init__(self, state: Mapping[str, Sequence[tf.Variable]], workdir: str, select: str):
        self._variables = [variable for group in state.values() for variable in group]
        self._checkpoint = tf.train.Checkpoint(**state)
        self._prefix = os.path.join(workdir, "checkpoints", "selected-")
        self._select = select

    def consider(self, lines: Sequence[Mapping], step: int) -> None:
        """Keeps the weights as they are if the evaluation of `step` is the best of `lines`.

        Raises:
          UserError: the disk is full, or the folder cannot be written.
        """
        if self._select == "last" or self.best(lines, everywhere=True) != step:
            return
        with disk_errors(f"writing the selected weights to {self._prefix}{step}"):
            os.makedirs(os.path.dirname(self._prefix), exist_ok=True)
            self._checkpoint.write(f"{self._prefix}{step}")

    def prune(self, lines: Sequence[Mapping]) -> None:
        """Once a checkpoint is written, only the best evaluation up to it is needed."""
        best = self.best(lines)
        for path in glob.glob(f"{glob.escape(self._prefix)}*"):
            if not path.startswith(f"{self._prefix}{best}."):
                os.remove(path)

    def best(self, lines: Sequence[Mapping], everywhere: bool = False) -> int:
        """The step that is selected: the best of those whose weights are on disk, or of all; 0 if there is none."""
        if not everywhere:
            found = glob.glob(f"{glob.escape(self._prefix)}*.index")
            kept = {int(path[len(self._prefix) : -len(".index")]) for path in found}
            lines = [line for line in lines if line["step"] in kept]
        try:
            return selection.best(lines, self._select)
        except UserError:
            return 0

    @contextlib.contextmanager
    def loaded(self, lines: Sequence[Mapping], last: int) -> Iterator[int]:
        """E and C hold the selected weights inside, and those they had before afterwards.

        Args:
          lines: of metrics.jsonl.
          last: the step whose weights E and C hold.

        Yields:
          The selected step; `last` if there is nothing to select from.
        """
        step = last if self._select == "last" else self.best(lines) or last
        if step == last:
            yield step
            return
        before = [variable.numpy() for variable in self._variables]
        self._checkpoint.read(f"{self._prefix}{step}").assert_existing_objects_matched()
        try:
            yield step
        finally:
            for variable, value in zip(self._variables, before):
                variable.assign(value)
