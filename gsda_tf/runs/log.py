"""The log of a run: `metrics.jsonl` is the truth, TensorBoard's files are made from it."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Mapping

import tensorflow as tf

from gsda_tf.files import disk_errors, open_to_append, write_atomically
from gsda_tf.runs.contents import LARGEST, METRICS, read_metrics


class MetricsLog:
    """One JSON object a line, each with its step, and the same in TensorBoard.

    On resuming, what was logged after the checkpoint is dropped, so that a run that was interrupted has neither
    gaps nor doubles.

    Args:
      workdir: of the run.
      last_step: step of the checkpoint that the run goes on from.
    """

    def __init__(self, workdir: str, last_step: int):
        self.path = os.path.join(workdir, METRICS)
        self._events = os.path.join(workdir, "tensorboard")
        kept = [line for line in read_metrics(workdir) if line["step"] <= last_step]
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        with disk_errors(f"writing {self._events}"):
            shutil.rmtree(self._events, ignore_errors=True)
            self._writer = tf.summary.create_file_writer(self._events)
            for line in kept:
                self._summarize(line)
            self._writer.flush()
        with disk_errors(f"writing {self.path}"):
            self._file = open_to_append(self.path)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a line; numbers that are not finite become null.

        Raises:
          DiskError: the disk is full, or the folder cannot be written; the lines before are whole.
        """
        line = {"step": step, **{k: v if abs(v) <= LARGEST else None for k, v in values.items()}}
        text = (json.dumps(line) + "\n").encode()
        end = self._file.tell()
        with disk_errors(f"writing {self.path}"):
            if self._file.write(text) < len(text):
                with contextlib.suppress(OSError):
                    self._file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with disk_errors(f"writing {self._events}"):
            self._summarize(line)

    def close(self) -> None:
        """Closes both files.

        Raises:
          DiskError: what was still to be written does not fit on the disk.
        """
        self._file.close()
        with disk_errors(f"writing {self._events}"):
            self._writer.close()

    def _summarize(self, line: Mapping[str, float]) -> None:
        with self._writer.as_default(step=line["step"]):
            for name, value in line.items():
                if name != "step" and value is not None:
                    tf.summary.scalar(name, value)
