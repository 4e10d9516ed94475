"""Exports of these tests are asked in a process that takes no seconds to start."""

import pytest

from gsda_tf.serving import fresh
from tests.processes import Process


class _Quick(fresh.FreshProcess):
    """A fresh fork that has TensorFlow imported and nothing more."""

    def __init__(self, folder):
        self._folder, self._process = folder, None

    def ask(self, arguments):
        script = fresh.IMPORTS + fresh.SCRIPT
        self._process = Process("tests.serving.asked", [self._folder, script, *arguments], fresh.environment())

    def _said(self, seconds):
        return self._process.communicate(seconds)[1]

    def __exit__(self, *_):
        if self._process is not None:
            self._process.send_signal(9)


@pytest.fixture(scope="package", autouse=True)
def quick_check():
    """The commands of tests/launch ask their exports in new processes, as it is."""
    real, fresh.FreshProcess = fresh.FreshProcess, _Quick
    yield
    fresh.FreshProcess = real
