"""Processes for tests that take no seconds to start: each is fresh, but TensorFlow was imported before."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# A server imports these and does nothing else; every process is a fork of it. Importing starts no device, so flags
# and environment variables that TensorFlow reads when it first computes count as in any new process.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["tensorflow", "keras", "tensorflow_datasets", "sklearn.manifold", "sklearn.linear_model", "matplotlib.pyplot",
     "tests.warm"]
)  # fmt: skip


class Process:
    """`python -m MODULE ARGUMENTS` in the repository, under way; to be used as a `subprocess.Popen`.

    Args:
      module: its name.
      arguments: of the command line.
      environment: variables that it has besides those of the tests.
    """

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None):
        self.args = [sys.executable, "-m", module, *arguments]
        self._folder = tempfile.TemporaryDirectory()
        self._paths = [os.path.join(self._folder.name, name) for name in ("stdout", "stderr")]
        for path in self._paths:
            open(path, "w").close()
        variables = {**os.environ, **(environment or {})}
        self._process = _CONTEXT.Process(
            target=_run, args=(module, list(arguments), variables, self._paths), daemon=True
        )  # a test that fails leaves nothing behind
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """What it exited with, minus the signal's number if one killed it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """As `returncode`."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        if self.poll() is None:
            os.kill(self._process.pid, number)

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """Waits for its end and returns all that it said: (stdout, stderr).

        Raises:
          subprocess.TimeoutExpired: it took longer, and was killed.
        """
        self._process.join(timeout)
        if self.poll() is None:
            self.send_signal(signal.SIGKILL)
            self._process.join()
            raise subprocess.TimeoutExpired(self.args, timeout, *self.said())
        return self.said()

    def said(self) -> tuple[str, str]:
        """What it has said until now: (stdout, stderr)."""
        said = []
        for path in self._paths:
            with open(path, encoding="utf-8", errors="replace") as file:
                said.append(file.read())
        return said[0], said[1]


def clusters(workers: int) -> list[dict[str, str]]:
    """The environment of each of so many workers on this machine: TF_CONFIG."""
    ports: list[int] = []
    with contextlib.ExitStack() as probes:  # open at once, so that no two get the same port
        while len(ports) < workers:
            # Below those that systems lend to connections, which might take a free port before the worker does.
            port = random.SystemRandom().randrange(20_000, 32_000)
            probe = probes.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("localhost", port))
                ports.append(port)
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    tasks = [{"type": "worker", "index": index} for index in range(workers)]
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]


def end_together(processes: Sequence[Process], timeout: float = 400) -> None:
    """Waits until all have ended well.

    Raises:
      AssertionError: one has failed, for which the others may wait for ever, or not all ended in time; with what each
        has said.
    """
    until = time.monotonic() + timeout
    while any(process.poll() is None for process in processes) and time.monotonic() < until:
        if any(process.poll() for process in processes):
            break
        time.sleep(0.05)
    codes = [process.poll() for process in processes]
    said = "\n".join(process.said()[1][-3000:] for process in processes)
    for process in processes:
        process.send_signal(signal.SIGKILL)
    assert not any(code is None or code for code in codes), f"ended with {codes}:\n{said}"


def _run(module: str, arguments: list[str], environment: dict[str, str], paths: list[str]) -> None:
    for number, path in enumerate(paths, start=1):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    # The tests may run under nohup or in the background, where these are ignored.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(REPOSITORY)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
