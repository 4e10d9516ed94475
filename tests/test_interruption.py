"""A signal is never lost, whatever becomes of the exception that it raises."""

import signal
import subprocess
import sys

import pytest

from tests.processes import REPOSITORY

_COMMAND = """
import os, signal, sys
from gsda_tf import interruption
from gsda_tf.errors import DiskError
from gsda_tf.interruption import Interrupted, deferred
from gsda_tf.progress import timed
from launch import flags

def lost(number):
    try:
        os.kill(os.getpid(), number)
        while True:
            pass
    except KeyboardInterrupt:
        pass  # as where C++ calls back into Python

def changed(number):
    lost(number)
    raise RuntimeError("KeyboardInterrupt: <stack trace of a graph>")

def passed_over(number):
    with timed("backbone"):
        lost(number)
    print("went on")

def later(number):
    lost(number)
    with timed("training"):
        print("went on")

def in_the_loop(number):
    with deferred() as asked:
        os.kill(os.getpid(), number)
        while not asked():
            pass
        raise DiskError("No space left.")

def unasked(number):
    raise RuntimeError("a mistake of ours")

interruption.listen()
sys.exit(flags.call(lambda: globals()[CASE](NUMBER), ["command"]))
"""


def _ended(case: str, number: int) -> subprocess.CompletedProcess:
    program = _COMMAND.replace("CASE", repr(case)).replace("NUMBER", str(int(number)))
    return subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("case", ["changed", "passed_over", "later", "in_the_loop"])
def test_whatever_is_raised_after_a_signal_ends_with_75(case, number):
    ended = _ended(case, number)
    assert ended.returncode == 75, ended.stderr
    assert "Stopped. The same command goes on" in ended.stderr and "Traceback" not in ended.stderr
    assert "went on" not in ended.stdout
    assert ("No space left." in ended.stderr) == (case == "in_the_loop"), "what was wrong is told all the same"


def test_without_a_signal_an_error_is_an_error():
    ended = _ended("unasked", signal.SIGTERM)
    assert ended.returncode == 1 and "a mistake of ours" in ended.stderr
