"""The folder of a run: whose it is, whether a run goes on in it, and what a new one clears away."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gsda_tf import files, methods
from gsda_tf.data.domain import TaskData
from gsda_tf.data.fingerprint import changes, fingerprint, with_classes
from gsda_tf.errors import COMMANDS, BusyError, TrainingError, UserError
from gsda_tf.files import disk_errors
from gsda_tf.runs import code
from gsda_tf.runs.checkpoints import Checkpoints
from gsda_tf.runs.contents import check_generation, read_settings, read_summary, write_settings
from gsda_tf.runs.log import MetricsLog
from gsda_tf.settings import Settings, may_change

_SHOWN = 8
# The summary first and the settings last: cut short, neither a finished run nor another's settings are left.
_LEFT = (
    "summary.json", "checkpoints", "tensorboard", "export", "metrics.jsonl", "evaluation.npz", "report.html",
    "confusion_matrix.png", "settings.json",
)  # fmt: skip
"""What a run leaves in its folder, in the order in which it is removed."""


class RunFolder:
    """The folder of a run, as the process that works in it has it: first `held`, then `opened`.

    Args:
      path: the folder.
      writes: whether this process is the one that writes; the others look on.

    Attributes:
      export_root: folder of the versions of its export.
    """

    _checkpoints: Checkpoints
    _log: MetricsLog

    def __init__(self, path: str, writes: bool = True):
        self.path, self.writes = path, writes
        self.export_root = os.path.join(path, "export")

    @contextlib.contextmanager
    def held(self, overwrite: bool = False) -> Iterator[None]:
        """Keeps a second run out of the folder, and removes what one that was killed was writing.

        Args:
          overwrite: whether what another run has left is cleared away.

        Raises:
          BusyError: another run is at work in it.
          DiskError: it cannot be written.
          UserError: see `clear`; or TensorFlow would read no checkpoint of a folder of that name.
        """
        files.refuse_pattern(self.path, "workdir")
        with contextlib.ExitStack() as held:
            if self.writes:
                held.enter_context(_locked(self.path))
                files.remove_unfinished(self.path)
                if overwrite:
                    clear(self.path)
            yield

    @contextlib.contextmanager
    def opened(self, state: dict[str, list], settings: Settings, extra: Mapping[str, Any]) -> Iterator[int]:
        """Goes on from the newest checkpoint that is whole, if there is one.

        Args:
          state: everything that the run needs, variables by name.
          settings: of the run.
          extra: what settings.json holds besides.

        Yields:
          The step that training goes on from; 0 for a new run.
        """
        self._checkpoints = Checkpoints(state, self.path, settings.run.keep_checkpoints, self.writes)
        step = self._checkpoints.restore()
        if step:
            print(f"Going on from step {step} of {self.path}", flush=True)
        if self.writes:
            write_settings(self.path, settings.flat(), extra)
            self._log = MetricsLog(self.path, step)
        try:
            yield step
        except TrainingError as error:
            error.args = (f"{error} {self._checkpoints.kept()}",)
            raise
        finally:
            if self.writes:
                self._log.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers by name to the log."""
        if self.writes:
            self._log.write(step, values)

    def save(self, step: int) -> None:
        """Writes a checkpoint of `step`; on every process, as each looks whether its weights are finite."""
        self._checkpoints.save(step)

    def same(self, settings: Settings, data: TaskData) -> TaskData:
        """Refuses to go on with a run that was started with other settings or code, or on other data.

        Args:
          settings: of now.
          data: of now.

        Returns:
          The data, with the classes in the order of the run.

        Raises:
          TrainingError: what differs, and the choices.
        """
        before = read_settings(self.path)
        if before is None:
            return data
        check_generation(self.path, before["generation"])
        if set(data.class_names) <= set(before["class_names"]):
            data = with_classes(data, before["class_names"])
        other = [f"--{name}={then} then, {now} now" for name, then, now in differences(before, settings.flat())]
        more = f"; and {len(other) - _SHOWN} more" if len(other) > _SHOWN else ""
        found = {
            "settings": "; ".join(other[:_SHOWN]) + more,
            "code": code.changes(before.get("code", {}), settings),
            "data": changes(before["data"], fingerprint(data)),
        }
        for what, told in found.items():
            if told:
                raise TrainingError(
                    f"{self.path} holds a {'finished' if read_summary(self.path) else 'started'} run of other {what} "
                    f"({told}). Put that back as it was; or take another --workdir, with --init_from={self.path} to "
                    "train on from its weights; or say --overwrite to start anew. Of other data, "
                    f"{COMMANDS}.evaluate and {COMMANDS}.export take them as they are."
                )
        return data

    def has_page(self) -> bool:
        """Returns whether there is a report; a run that was stopped while it was made has none, and is finished."""
        return os.path.exists(os.path.join(self.path, "report.html"))


def default_workdir(settings: Settings, data: TaskData) -> str:
    """runs/<benchmark>/<Source_Target>/<method>/seed<k>; the method with what is added to it, such as gsda+mcc."""
    name = methods.label(settings.method.method, settings.method.add)
    return os.path.join("runs", data.name, name, f"seed{settings.run.seed}")


def differences(written: Mapping[str, Any], settings: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Returns (name, value then, value now) of each setting with which a run may not go on.

    Args:
      written: settings.json or summary.json of a run.
      settings: of now, by name.
    """
    now, then = json.loads(json.dumps(settings)), written["settings"]  # both through JSON
    found = [(name, then.get(name), value) for name, value in now.items()]
    return [each for each in found if each[1] != each[2] and not may_change(*each)]


@contextlib.contextmanager
def _locked(workdir: str) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        with disk_errors(f"writing to --workdir={workdir}"):
            os.makedirs(workdir, exist_ok=True)
            for _ in range(6):
                with contextlib.suppress(BlockingIOError):
                    held.enter_context(files.locked(os.path.join(workdir, ".lock")))
                    break
                time.sleep(0.1)  # a sweep asks for a moment whether anybody is at work
            else:
                raise BusyError(f"Another run is at work in {workdir}: wait for it, or use another --workdir.")
        yield


def clear(workdir: str, names: Sequence[str] = _LEFT) -> None:
    """Removes what a run leaves, and nothing else that may lie in the folder, nor what links lead to.

    Raises:
      UserError: a folder of the run is a symbolic link; nothing was removed.
      DiskError: it may not be removed.
    """
    paths = [os.path.join(workdir, name) for name in names]
    for path in paths:
        if os.path.islink(path) and os.path.isdir(path):
            raise UserError(
                f"{path} is a symbolic link to {os.path.realpath(path)}, and --overwrite removes nothing outside of "
                "the run's folder: remove the link, or choose another --workdir."
            )
    with disk_errors(f"clearing {workdir}"):
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
