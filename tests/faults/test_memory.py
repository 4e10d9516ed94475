"""Memory does not grow with the number of steps."""

import subprocess
import sys
import time

import pytest

from gsda_tf.runs.contents import read_metrics


def _resident(pid: int) -> int:
    """Resident memory, KiB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


@pytest.mark.slow
def test_three_thousand_steps_of_the_digits_run(tmp_path, repository):
    flags = ["--steps=3000", f"--workdir={tmp_path / 'run'}", "--report=false", "--noexport"]
    by_step: dict[int, int] = {}
    with open(tmp_path / "said", "w") as said:
        command = [sys.executable, "-m", "launch.train", *flags]
        process = subprocess.Popen(command, cwd=repository, stdout=said, stderr=said)
    while process.poll() is None:
        lines = read_metrics(str(tmp_path / "run"))
        if lines and lines[-1]["step"] not in by_step:
            by_step[lines[-1]["step"]] = _resident(process.pid)
        time.sleep(0.1)
    assert process.returncode == 0, (tmp_path / "said").read_text()
    early = max(memory for step, memory in by_step.items() if step <= 300)
    late = max(memory for step, memory in by_step.items() if step > 300)
    assert max(by_step) >= 2900 and late < 1.03 * early, by_step
