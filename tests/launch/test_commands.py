"""Every command starts by itself, as `python -m launch.NAME`."""

import pkgutil
import subprocess
import sys

import pytest

import launch
from tests.processes import REPOSITORY

COMMANDS = sorted({module.name for module in pkgutil.iter_modules(launch.__path__)} - {"flags", "__main__"})


def test_all_commands_are_known():
    assert COMMANDS == ["benchmark", "evaluate", "export", "inspect", "predict", "report", "sweep", "train"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_the_flags(command):
    done = subprocess.run(
        [sys.executable, "-m", f"launch.{command}", "--help"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert f"launch.{command}" in done.stdout or f"{command}.py" in done.stdout
    assert "--" in done.stdout and done.returncode in (0, 1)  # absl ends --help with 1
