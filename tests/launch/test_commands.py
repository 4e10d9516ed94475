"""Every command starts by itself, as `python -m launch.NAME`, and tells its flags."""

import pkgutil
import subprocess
import sys

import pytest

import launch
from gsda_tf import methods
from gsda_tf import settings as settings_lib
from tests.launch import commands
from tests.processes import REPOSITORY

COMMANDS = sorted({module.name for module in pkgutil.iter_modules(launch.__path__)} - {"flags", "help", "__main__"})


def test_all_commands_are_known():
    assert " ".join(COMMANDS) == "evaluate export inspect monitor pick predict report sweep train"


def test_a_command_starts_in_a_new_process():
    """All other tests fork one that has imported the package."""
    command = [sys.executable, "-m", "launch.report"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]  # TensorFlow may have something to say before
    assert last.startswith("Error: --workdir is "), done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_the_flags(command):
    done = commands.run(command, "--help")
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0
    assert f"python -m launch.{command} --" in done.stdout, "no example"
    assert "\n  --" in done.stdout and max(map(len, done.stdout.splitlines())) <= 120
    inherits = command in ("train", "sweep", "inspect")
    assert ("--help=all" in done.stdout) == inherits and ("--freeze_backbone  " in done.stdout) == inherits
    if command == "sweep":
        assert "--benchmark" in done.stdout and "  --seed=" not in done.stdout


def test_h_is_help_and_all_tells_every_setting_and_option_once():
    short = commands.succeed("train", "-h")
    assert short == commands.succeed("train", "--help")
    assert 10 <= short.count("\n  --") <= 18
    whole = commands.succeed("train", "--help=all")
    told = [line.split()[0].partition("=")[0] for line in whole.splitlines() if line.startswith("  --")]
    own = ["--budget_minutes", "--candidate_seeds", "--candidates"]
    settings = [f"--{field.name}" for field in settings_lib.fields()]
    assert told == [*own, *settings, *(f"--{name}" for name in methods.all_options())]
    assert whole.index("--method=gsda:") < whole.index("--beta=1.0")


def test_dashes_in_the_name_of_a_flag_are_underscores():
    line = commands.fail("train", "--learning-rate=-1-e")
    assert "learning_rate" in line and "-1-e" in line
    assert "Did you mean '--learning_rate'?" in commands.fail("train", "--learning-rat=1")
