"""The folder of a run: its name, its lock, and what a new run clears away."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

from gsda_tf.data.domain import TaskData
from gsda_tf.errors import TrainingError, UserError
from gsda_tf.settings import Settings


def default_workdir(settings: Settings, data: TaskData) -> str:
    """runs/<benchmark>/<Source_Target>/<method>/seed<k>."""
    return os.path.join("runs", data.name, settings.method.method, f"seed{settings.run.seed}")


def read_summary(workdir: str) -> dict[str, Any] | None:
    """summary.json of a finished run, or None."""
    path = os.path.join(workdir, "summary.json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


@contextlib.contextmanager
def locked(workdir: str) -> Iterator[None]:
    """Keeps a second run out of the folder."""
    try:
        os.makedirs(workdir, exist_ok=True)
        file = open(os.path.join(workdir, ".lock"), "w")  # noqa: SIM115 - held for the whole run
    except OSError as error:
        raise UserError(f"--workdir={workdir} cannot be written: {error.strerror}. Choose another.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingError(
                f"Another run is at work in {workdir}: wait for it, or use another --workdir."
            ) from error
        yield


def clear(workdir: str) -> None:
    """Removes what a run leaves, and nothing else that may lie in the folder."""
    for name in ("checkpoints", "tensorboard", "export"):
        shutil.rmtree(os.path.join(workdir, name), ignore_errors=True)
    for name in (
        "settings.json",
        "summary.json",
        "metrics.jsonl",
        "evaluation.npz",
        "report.html",
        "confusion_matrix.png",
    ):
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(workdir, name))
