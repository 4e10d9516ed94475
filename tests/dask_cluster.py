"""A Dask scheduler and workers on loopback, each a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

from tests.processes import REPOSITORY


class DaskCluster:
    """To be used as a context; at its end all processes are gone.

    Args:
      folder: for what the processes say.
      workers: how many there are to begin with, of one thread each.
    """

    def __init__(self, folder, workers: int = 0):
        self._folder = str(folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        self.workers: list[subprocess.Popen] = []
        for _ in range(workers):
            self.add_worker()

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()

    def add_worker(self) -> subprocess.Popen:
        """One more worker, which joins within seconds."""
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        self.workers.append(self._start("worker", self.address, *options, "--local-directory", self._folder))
        return self.workers[-1]

    def kill(self, worker: subprocess.Popen) -> None:
        """As the kernel would end it."""
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.workers.remove(worker)

    def wait_for(self, condition, seconds: float = 180) -> None:
        """Until it holds; fails the test if it does not."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def said(self) -> str:
        """All that the processes said."""
        with open(os.path.join(self._folder, "dask.log"), encoding="utf-8") as file:
            return file.read()

    def _start(self, what: str, *arguments: str) -> subprocess.Popen:
        with open(os.path.join(self._folder, "dask.log"), "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
