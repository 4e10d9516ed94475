"""Running the commands as a user does."""

import json
import os
import subprocess

from tests.processes import Process

# A run of a few seconds.
TINY = (
    "--image_size=8", "--resize_size=8", "--steps=40", "--discriminator_units=16", "--bottleneck_units=16",
    "--source_batch=16", "--target_batch=16", "--report_steps=10", "--evaluate_steps=20", "--pseudo_label_period=20",
    "--checkpoint_steps=10",
)  # fmt: skip


def start(module: str, *flags: str) -> Process:
    """`python -m launch.MODULE FLAGS`, under way."""
    return Process(f"launch.{module}", flags)


def run(module: str, *flags: str, timeout: float = 300) -> subprocess.CompletedProcess:
    """`python -m launch.MODULE FLAGS`, finished."""
    process = start(module, *flags)
    stdout, stderr = process.communicate(timeout)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def succeed(module: str, *flags: str, **options) -> str:
    """What a command prints; fails the test if the command fails."""
    done = run(module, *flags, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fail(module: str, *flags: str, **options) -> str:
    """The one line in which a command says what is wrong."""
    done = run(module, *flags, **options)
    assert done.returncode not in (0, 1), done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def summary(workdir) -> dict:
    """summary.json of a run."""
    with open(os.path.join(workdir, "summary.json"), encoding="utf-8") as file:
        return json.load(file)
