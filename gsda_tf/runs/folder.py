"""The folder of a run: its name, its lock, and what a new run clears away."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any

from gsda_tf import files, methods
from gsda_tf.data.domain import TaskData
from gsda_tf.data.fingerprint import changes, fingerprint, with_classes
from gsda_tf.errors import COMMANDS, BusyError, DiskError, TrainingError, UserError
from gsda_tf.files import disk_errors, read_json
from gsda_tf.settings import Settings


def default_workdir(settings: Settings, data: TaskData) -> str:
    """runs/<benchmark>/<Source_Target>/<method>/seed<k>; the method with what is added to it, such as gsda+mcc."""
    name = methods.label(settings.method.method, settings.method.add)
    return os.path.join("runs", data.name, name, f"seed{settings.run.seed}")


def same_data(data: TaskData, before: Mapping[str, Any] | None, workdir: str) -> TaskData:
    """Refuses to go on with a run that was started on other data.

    Args:
      data: of now.
      before: settings.json of the run; None if it is new.
      workdir: its folder.

    Returns:
      The data, with the classes in the order of the run.

    Raises:
      UserError: what differs, and the choices.
    """
    if before is None:
        return data
    unknown = set(data.class_names) - set(before["class_names"])
    same = data if unknown else with_classes(data, before["class_names"])
    other = changes(before["data"], fingerprint(same))
    if other:
        raise TrainingError(
            f"{workdir} holds a {'finished' if read_summary(workdir) else 'started'} run on other data ({other}). Put "
            "the data back as they were; or start anew, with --overwrite or in another --workdir, there with "
            f"--init_from={workdir} from its weights; {COMMANDS}.evaluate and {COMMANDS}.export take the data as they "
            "are."
        )
    return same


def read_summary(workdir: str) -> dict[str, Any] | None:
    """summary.json of a finished run, or None."""
    path = os.path.join(workdir, "summary.json")
    if not os.path.exists(path):
        return None
    return read_json(path, {"step": int, "steps": int, "weights_sha256": str}, _SUMMARY)


_SUMMARY = {
    **dict.fromkeys(("task", "method", "score"), str),
    **dict.fromkeys(("images_per_second", "wall_seconds"), float),
    **dict.fromkeys(("accuracy/source", "accuracy/target", "accuracy/target_mean_class"), (float, None)),
    **dict.fromkeys(("score/entropy", "score/im", "score/snd", "score/a_distance"), (float, None)),
    **dict.fromkeys(("versions", "settings", "selection"), dict),
    "target_per_class_accuracy": (dict, None),
    "seed": int,
}


def exported(export_root: str, summary: Mapping[str, Any]) -> str | None:
    """The newest version under `export_root` if it is an export of this very result, else None."""
    newest = max((int(name) for name in _names(export_root) if name.isascii() and name.isdigit()), default=None)
    if newest is None:
        return None
    folder = os.path.join(export_root, str(newest))
    try:
        written = read_json(os.path.join(folder, "assets", "summary.json"), {"step": int, "weights_sha256": str})
    except UserError:
        return None
    # Through JSON, as that one went.
    now = json.loads(json.dumps({key: summary[key] for key in _RESULT}))
    return folder if {key: written.get(key) for key in _RESULT} == now else None


_RESULT = ("task", "method", "seed", "step", "weights_sha256", "selection", "versions", "settings")


def _names(folder: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return os.listdir(folder)
    return []


@contextlib.contextmanager
def locked(workdir: str) -> Iterator[None]:
    """Keeps a second run out of the folder."""
    with contextlib.ExitStack() as held:
        try:
            os.makedirs(workdir, exist_ok=True)
            held.enter_context(_own(os.path.join(workdir, ".lock")))
        except BlockingIOError as error:
            raise BusyError(f"Another run is at work in {workdir}: wait for it, or use another --workdir.") from error
        except OSError as error:
            todo = "Make room." if error.errno == errno.ENOSPC else "Choose another."
            raise DiskError(f"--workdir={workdir} cannot be written: {error.strerror}. {todo}") from error
        yield


def _own(path: str) -> contextlib.AbstractContextManager[int]:
    for _ in range(5):
        lock = contextlib.ExitStack()
        with contextlib.suppress(BlockingIOError):
            lock.enter_context(files.locked(path))
            return lock
        time.sleep(0.1)  # a sweep asks for a moment whether anybody is at work
    return files.locked(path)


def clear(workdir: str) -> None:
    """Removes what a run leaves, and nothing else that may lie in the folder, nor what links lead to.

    Raises:
      UserError: a folder of the run is a symbolic link; nothing was removed.
      DiskError: it may not be removed.
    """
    folders = [os.path.join(workdir, name) for name in ("checkpoints", "tensorboard", "export")]
    for folder in filter(os.path.islink, folders):
        raise UserError(
            f"{folder} is a symbolic link to {os.path.realpath(folder)}, and --overwrite removes nothing outside of "
            "the run's folder: remove the link, or choose another --workdir."
        )
    # The summary first and the settings last: cut short, neither a finished run nor another's settings are left.
    with disk_errors(f"clearing {workdir}"):
        _remove(workdir, "summary.json")
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)
        for name in ("metrics.jsonl", "evaluation.npz", "report.html", "confusion_matrix.png", "settings.json"):
            _remove(workdir, name)


def _remove(workdir: str, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(workdir, name))
