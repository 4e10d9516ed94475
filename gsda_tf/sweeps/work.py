"""Command lines that go on from what is on disk, and who runs them: processes of this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import os
import queue
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Protocol

from gsda_tf.errors import DiskError
from gsda_tf.files import disk_errors, open_to_append
from gsda_tf.run_child import STOP_SECONDS

_POLL_SECONDS = 0.2
_SILENT = {DiskError.exit_code: "the disk is full, or may not be written"}


class Wish(enum.IntEnum):
    """What whoever waits for a command wants of it."""

    GO_ON = 0
    STOP = 1
    """Write a checkpoint and end."""
    KILL = 2


@dataclasses.dataclass(frozen=True)
class Task:
    """A command that may be run anywhere and as often as needed: it goes on from what is in its folder.

    Attributes:
      module: as for `python -m`.
      arguments: of its command line.
      folder: it is run in.
      log: file that all it says is added to.
    """

    module: str
    arguments: tuple[str, ...]
    folder: str
    log: str


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and its last error, or the last thing it said, in one line."""

    code: int
    said: str


def perform(
    task: Task, environment: Mapping[str, str] | None = None, wish: Callable[[], Wish] = lambda: Wish.GO_ON
) -> Ended:
    """Runs a command to its end, which comes soon if this process dies or the wish changes.

    Args:
      task: the command.
      environment: variables that it has besides those of this process.
      wish: asked a few times a second.

    Raises:
      DiskError: its log cannot be written.
    """
    with disk_errors(f"writing {task.log}"):
        os.makedirs(os.path.dirname(task.log), exist_ok=True)
        log = open_to_append(task.log)
    with log:
        start = log.tell()
        # In a session of its own: a Ctrl-C at the terminal reaches whoever waits alone, who passes it on once.
        process = subprocess.Popen(
            [sys.executable, "-m", "gsda_tf.run_child", task.module, *task.arguments],
            cwd=task.folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while wish() == Wish.GO_ON and not _ended(process, _POLL_SECONDS):
            pass
        process.stdin.close()
        for _ in range(round((STOP_SECONDS + 10) / _POLL_SECONDS)):
            if wish() == Wish.KILL or _ended(process, _POLL_SECONDS):
                break
    finally:
        process.stdin.close()
        if process.poll() is None:
            process.kill()
        process.wait()
    return Ended(process.returncode, _last_error(task.log, start, process.returncode))


def _ended(process: subprocess.Popen, seconds: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return True
    return False


def _last_error(log: str, start: int, code: int) -> str:
    with open(log, "rb") as file:
        file.seek(start)
        text = file.read().decode("utf-8", "replace")
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    errors = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception)\b.*:", line)]
    return (errors or lines or [_SILENT.get(code, "it said nothing")])[-1].removeprefix("Error: ")[:500]


class LocalPool:
    """Runs tasks on this machine, some at a time, each with its share of the cores.

    Args:
      jobs: at the same time.
      threads: of each; 0: its share of the cores if there are several jobs, else what the libraries choose.
      gpus: of this machine, one for each task at work; none: each sees all.
    """

    def __init__(self, jobs: int, threads: int = 0, gpus: Sequence[str] = ()):
        self.width = jobs
        self._wish = Wish.GO_ON
        self._places: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        for job in range(jobs):
            gpu = {"CUDA_VISIBLE_DEVICES": gpus[job % len(gpus)]} if gpus else {}
            self._places.put({**thread_limits(threads, jobs), **gpu})
        self._executor = futures.ThreadPoolExecutor(jobs)

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()

    def submit(self, task: Task) -> futures.Future[Ended]:
        """Runs a task as soon as there is room."""
        return self._executor.submit(self._perform, task)

    def end(self, wish: Wish) -> None:
        """Asks all tasks at work to stop, or kills them; their futures are done when they have ended."""
        self._wish = wish

    def _perform(self, task: Task) -> Ended:
        place = self._places.get()
        try:
            return perform(task, place, lambda: self._wish)
        finally:
            self._places.put(place)


class Pool(Protocol):
    """Who runs tasks; to be used as a context."""

    width: int

    def submit(self, task: Task) -> futures.Future[Ended]:
        """Runs a task as soon as there is room."""

    def end(self, wish: Wish) -> None:
        """Asks all tasks at work to stop, or kills them."""


def open_pool(
    scheduler: str, jobs: int, threads: int = 0, gpus: Sequence[str] = ()
) -> contextlib.AbstractContextManager:
    """A pool of this machine, or on a Dask scheduler.

    Args:
      scheduler: "" for processes of this one, else see `cluster.DaskPool`.
      jobs: see `LocalPool`.
      threads: see `LocalPool`.
      gpus: see `LocalPool`.

    Raises:
      UserError: see `cluster.DaskPool`.
    """
    if not scheduler:
        return LocalPool(jobs, threads, gpus)
    from gsda_tf.cluster import DaskPool  # Dask is needed here only

    return DaskPool(scheduler, jobs, threads, gpus)


def thread_limits(threads: int, jobs: int) -> dict[str, str]:
    """Variables that make a process use so many threads.

    Args:
      threads: 0: its share of the cores beside so many `jobs`, if there are several and the user has said nothing.
    """
    names = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
    if threads:
        return dict.fromkeys(names, str(threads))
    share = str(max(1, (os.cpu_count() or 1) // jobs))
    return {name: os.environ.get(name, share) for name in names} if jobs > 1 else {}
