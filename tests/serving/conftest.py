"""Exports of these tests are asked in a process that takes no seconds to start."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from gsda_tf.serving import export
from tests.processes import Process


def _run(command, cwd, env, timeout, **options):
    """`subprocess.run` of this interpreter with code, in a fresh fork that has TensorFlow imported and nothing more."""
    if command[:2] != [sys.executable, "-c"]:
        return subprocess.run(command, cwd=cwd, env=env, timeout=timeout, **options)
    process = Process("tests.serving.asked", [str(cwd), *command[2:]], env)
    stdout, stderr = process.communicate(timeout)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


@pytest.fixture(scope="package", autouse=True)
def quick_check():
    """The commands of tests/launch ask their exports in new processes, as it is."""
    export.subprocess = SimpleNamespace(run=_run, TimeoutExpired=subprocess.TimeoutExpired)
    yield
    export.subprocess = subprocess
