"""Command lines that go on from what is on disk, and who runs them: this machine, or the workers of a Dask scheduler.

Dask's workers need this package and the folders of the client, at the same paths. A worker that dies takes its tasks
with it, and Dask hands them to another; tasks whose client is gone, or wants them no more, are asked to stop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, TypeVar, Union

from gsda_tf.errors import DiskError, UserError, WorkerLostError
from gsda_tf.files import disk_errors, open_to_append
from gsda_tf.run_child import STOP_SECONDS
from gsda_tf.threads import in_thread

Value = TypeVar("Value")
_POLL_SECONDS = 0.2
_CONNECT_SECONDS = 30
_SILENT = {DiskError.exit_code: "the disk is full, or may not be written"}


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
    """The end of a command: its exit code, and its last error, or the last thing it said, in one line."""

    code: int
    said: str


def perform(task: Task, environment: Mapping[str, str], stop: Callable[[], int]) -> Ended:
    """Runs a command to its end, which comes soon if this process dies or it is asked to stop.

    Args:
      task: the command.
      environment: variables that it has besides those of this process.
      stop: asked a few times a second how often it was asked to stop: once, it writes a checkpoint, twice, it is
        killed.

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
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not stop() and not _ended(process):
            pass
        process.stdin.close()
        for _ in range(round((STOP_SECONDS + 10) / _POLL_SECONDS)):
            if stop() > 1 or _ended(process):
                break
    finally:
        process.stdin.close()
        process.kill()  # nothing, if it has ended
        process.wait()
    return Ended(process.returncode, _last_error(task.log, start, process.returncode))


def _ended(process: subprocess.Popen) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_POLL_SECONDS)
    return process.returncode is not None


def _last_error(log: str, start: int, code: int) -> str:
    with open(log, "rb") as file:
        file.seek(start)
        text = file.read().decode("utf-8", "replace")
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    errors = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception)\b.*:", line)]
    return (errors or lines or [_SILENT.get(code, "it said nothing")])[-1].removeprefix("Error: ")[:500]


def thread_limits(threads: int, jobs: int) -> dict[str, str]:
    """Returns variables that make a process use so many threads.

    Args:
      threads: 0: its share of the cores beside so many `jobs`, if there are several and the user has said nothing.
    """
    names = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
    if threads:
        return dict.fromkeys(names, str(threads))
    share = str(max(1, (os.cpu_count() or 1) // jobs))
    return {name: os.environ.get(name, share) for name in names} if jobs > 1 else {}


def _gpu(number: int, gpus: Sequence[str]) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}


class LocalPool(futures.ThreadPoolExecutor):
    """Runs tasks on this machine; to be used as a context.

    Args:
      jobs: at the same time.
      threads: of each; 0: its share of the cores if there are several jobs, else what the libraries choose.
      gpus: of this machine, one for each task at work; none: each sees all.
    """

    def __init__(self, jobs: int, threads: int = 0, gpus: Sequence[str] = ()):
        self.width, self._stops, self._own = jobs, 0, threading.local()
        places = [{**thread_limits(threads, jobs), **_gpu(job, gpus)} for job in range(jobs)]
        # Each thread has a place of its own, and runs one task at a time.
        super().__init__(jobs, initializer=lambda: setattr(self._own, "place", places.pop()))

    def submit(self, task: Task) -> futures.Future[Ended]:
        """Runs a task as soon as there is room."""
        return super().submit(lambda: perform(task, self._own.place, lambda: self._stops))

    def end(self) -> None:
        """Asks all tasks at work to stop; asked again, kills them. Their futures are done when they have ended."""
        self._stops += 1


class DaskPool(contextlib.AbstractContextManager):
    """Runs tasks on the workers of a scheduler, as many at a time as they have threads; to be used as a context.

    Args:
      scheduler: address of one that runs, such as tcp://host:8786, or "local": one of our own, with `jobs` workers.
      jobs: workers of "local".
      threads: of each task; 0: its share of the worker's cores.
      gpus: of this machine, for "local": one for each worker.

    Raises:
      UserError: Dask is not installed, or no scheduler answers.
    """

    width = sys.maxsize
    """Tasks that may be submitted at the same time."""

    def __init__(self, scheduler: str, jobs: int = 1, threads: int = 0, gpus: Sequence[str] = ()):
        try:
            import distributed
        except ImportError as error:
            raise UserError(f"--scheduler={scheduler} needs Dask: pip install dask distributed.") from error
        address, options, client = scheduler, {}, None
        if scheduler == "local":
            threads = threads or max(1, (os.cpu_count() or 1) // jobs)
            address, options = None, {"n_workers": jobs, "threads_per_worker": 1, "dashboard_address": None}
            options |= {"silence_logs": logging.CRITICAL, "env": thread_limits(threads, jobs)}
        self._threads, self._gpus = threads, tuple(gpus)
        with contextlib.ExitStack() as held:
            held.enter_context(_left_as_it_was())
            options |= {"timeout": _CONNECT_SECONDS, "set_as_default": False, "name": "gsda_tf"}
            # Its own time-out, an OSError, does not count how long a greeting is waited for.
            with contextlib.suppress(OSError, ValueError, TypeError, MemoryError, futures.TimeoutError):
                client = in_thread(lambda: distributed.Client(address, **options)).result(2 * _CONNECT_SECONDS)
            if client is None:
                # A client that has failed closes itself when it is collected. If that happens while another one starts,
                # both want the lock of Dask's event loops, in one thread, and wait for ever: so it goes now.
                gc.collect()
                raise UserError(
                    f"--scheduler={scheduler}: no Dask scheduler answers there. Expected an address such as "
                    "tcp://host:8786, or local."
                )
            self.client, self._held = client, held.pop_all()
            self._held.callback(client.close)
        if not self.threads():
            print(f"Waiting for workers to join {scheduler} ...", file=sys.stderr, flush=True)
        self._executor = self.client.get_executor(pure=False)

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def threads(self) -> int:
        """Returns the number of threads of all workers that are there now."""
        return sum(self.client.nthreads().values())

    def submit(self, task: Task) -> futures.Future[Ended]:
        """Runs a task on a worker, and on another if that one dies."""
        return self.call(_perform_on_worker, task, self._threads, self._gpus)

    def call(self, function: Callable[..., Any], *arguments: Any) -> futures.Future[Any]:
        """Calls a function of this package on a worker, and on another if that one dies.

        Its future is cancelled if the scheduler is gone, and holds `distributed.KilledWorker` if it has taken several
        workers with it.
        """
        # By name: a scheduler unpickles what passes through it, and would import all that the function needs,
        # TensorFlow mostly, and hear nobody meanwhile.
        return self._executor.submit(_named, function.__module__, function.__name__, *arguments)

    def end(self) -> None:
        """Lets go of all tasks; those at work stop within a moment, and are not waited for."""
        self._executor.shutdown(wait=False)


@contextlib.contextmanager
def _left_as_it_was() -> Iterator[None]:
    """Silences Dask's logs, and puts them and the process's variables back, by which Dask starts workers."""
    levels = {log: log.level for log in map(logging.getLogger, ("distributed", "distributed.client"))}
    environment = dict(os.environ)
    for log in levels:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in levels.items():
            log.setLevel(level)
        os.environ.clear()
        os.environ.update(environment)


def outcome(future: futures.Future[Value], failed: Callable[[str], Value]) -> Value:
    """Returns the result of a call or task, or what `failed` makes of an error such as another machine may raise.

    Raises:
      UserError: of the call; WorkerLostError: the scheduler is gone.
    """
    try:
        return future.result()
    except UserError:
        raise
    except futures.CancelledError as error:
        raise WorkerLostError(
            "The scheduler is gone. When there is one again, the same command goes on from what is on disk."
        ) from error
    except Exception as error:
        return failed(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:500]}")


def _named(module: str, name: str, *arguments: Any) -> Any:
    return getattr(importlib.import_module(module), name)(*arguments)


def _perform_on_worker(task: Task, threads: int, gpus: Sequence[str]) -> Ended:
    """Runs the command for as long as somebody wants it."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    if not os.path.isdir(task.folder):
        raise UserError(f"{worker.address} does not see {task.folder}: all workers need the client's folders.")

    def stop() -> int:
        known = worker.state.tasks.get(key)
        wanted = known is not None and known.state in ("executing", "long-running")
        return int(not wanted or worker.status.name not in ("running", "paused"))

    threads = threads or max(1, (os.cpu_count() or 1) // worker.state.nthreads)
    # Workers of "local", which alone have GPUs given, have numbers for names.
    return perform(task, {**thread_limits(threads, jobs=1), **_gpu(worker.name, gpus)}, stop)


Pool = Union[LocalPool, DaskPool]
