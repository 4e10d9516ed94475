"""Tasks on the workers of a Dask scheduler, on this machine or on many. The only module that imports Dask.

Workers need this package and the folders of the client, at the same paths. A worker that dies takes its tasks with it,
and Dask hands them to another; tasks whose client is gone, or wants them no more, are asked to stop.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

from gsda_tf.errors import UserError
from gsda_tf.sweeps.work import Ended, Task, Wish, perform, thread_limits

_CONNECT_SECONDS = 30


class DaskPool:
    """Runs tasks on the workers of a scheduler: as many at a time as they have threads.

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
        for name in ("distributed", "distributed.client"):  # what became of whom is told by what becomes of the tasks
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._scheduler, self._cluster = scheduler, None
        self._threads = threads or (max(1, (os.cpu_count() or 1) // jobs) if scheduler == "local" else 0)
        if scheduler == "local":
            self._cluster = _local_cluster(jobs, thread_limits(self._threads, jobs), gpus)
        self.client = None
        with contextlib.suppress(OSError, ValueError, TypeError):  # a time-out is an OSError
            self.client = distributed.Client(
                self._cluster or scheduler, timeout=_CONNECT_SECONDS, set_as_default=False, name="gsda_tf"
            )
        if self.client is None:
            # A client that has failed closes itself when it is collected. If that happens while another one starts,
            # both want the lock of Dask's event loops, in one thread, and wait for ever: so it goes now.
            gc.collect()
            raise UserError(
                f"--scheduler={scheduler}: no Dask scheduler answers there. Expected an address such as "
                "tcp://host:8786, or local."
            )
        if not self.threads():
            print(f"Waiting for workers to join {scheduler} ...", file=sys.stderr, flush=True)
        self._executor = self.client.get_executor(pure=False)

    def __enter__(self) -> DaskPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self._cluster is not None:
            self._cluster.close()

    def threads(self) -> int:
        """Of all workers that are there now."""
        return sum(self.client.nthreads().values())

    def submit(self, task: Task) -> futures.Future[Ended]:
        """Runs a task on a worker, and on another if that one dies."""
        return self.call(_perform, task, self._threads)

    def call(self, function: Callable[..., Any], *arguments: Any) -> futures.Future[Any]:
        """Calls a function of this package on a worker, and on another if that one dies.

        Its future is cancelled if the scheduler is gone, and holds `distributed.KilledWorker` if it has taken several
        workers with it.
        """
        # By name: a scheduler unpickles what passes through it, and would import all that the function needs,
        # TensorFlow mostly, and hear nobody meanwhile.
        return self._executor.submit(_named, function.__module__, function.__name__, *arguments)

    def end(self, wish: Wish) -> None:
        """Lets go of all tasks; those at work stop within a moment, and are not waited for."""
        self._executor.shutdown(wait=False)


def _named(module: str, name: str, *arguments: Any) -> Any:
    return getattr(importlib.import_module(module), name)(*arguments)


def _perform(task: Task, threads: int) -> Ended:
    """On a worker: runs the command for as long as somebody wants it."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    if not os.path.isdir(task.folder):
        raise UserError(f"{worker.address} does not see {task.folder}: all workers need the client's folders.")

    def wish() -> Wish:
        known = worker.state.tasks.get(key)
        wanted = known is not None and known.state in ("executing", "long-running")
        return Wish.GO_ON if wanted and worker.status.name in ("running", "paused") else Wish.STOP

    threads = threads or max(1, (os.cpu_count() or 1) // worker.state.nthreads)
    return perform(task, thread_limits(threads, jobs=1), wish)


def _local_cluster(jobs: int, environment: dict[str, str], gpus: Sequence[str]):
    from distributed import Nanny, Scheduler, SpecCluster

    def worker(number: int) -> dict[str, Any]:
        gpu = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
        return {"cls": Nanny, "options": {"nthreads": 1, "env": {**environment, **gpu}}}

    return SpecCluster(
        {number: worker(number) for number in range(jobs)},
        {"cls": Scheduler, "options": {"dashboard": False, "dashboard_address": None, "port": 0}},
        silence_logs=logging.CRITICAL,
    )
