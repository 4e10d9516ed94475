"""Exports of these tests are asked in a process that takes no seconds to start."""

import pytest

from gsda_tf.serving import fresh
from tests.processes import Process

_IMPORTS = "import os, sys, zipfile, numpy as np, tensorflow as tf\n"


class _Quick(fresh.FreshProcess):
    """A fresh fork that has TensorFlow imported and nothing more."""

    def __init__(self, script, folder):
        self._given, self._process = (script, folder), None

    def ask(self, arguments):
        script, folder = self._given
        self._process = Process("tests.serving.asked", [folder, _IMPORTS + script, *arguments], fresh.environment())

    def _said(self, seconds):
        return self._process.communicate(seconds)[1]

    def kill(self):
        if self._process is not None:
            self._process.send_signal(9)


@pytest.fixture(scope="package", autouse=True)
def quick_check():
    """The commands of tests/launch ask their exports in new processes, as it is."""
    real, fresh.FreshProcess = fresh.FreshProcess, _Quick
    yield
    fresh.FreshProcess = real
