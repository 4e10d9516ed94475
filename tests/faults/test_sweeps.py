"""Sweeps that are killed, or meet one another: runs end with their sweep, go on with the next, and are done once."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gsda_tf import workers
from gsda_tf.workers import Task, perform
from tests.faults import fake_sweep
from tests.processes import REPOSITORY, Process

_STEPS = 20


def _sweep(out, *seeds, jobs=2) -> Process:
    return Process("tests.faults.fake_sweep", [str(out), str(_STEPS), str(jobs), *map(str, seeds)])


def _until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _at_step_10(*runs) -> bool:
    return all(len(fake_sweep.lines(run)) == 10 for run in runs)


def _every_step_once(*runs) -> bool:
    return all([line["step"] for line in fake_sweep.lines(run)] == list(range(1, _STEPS + 1)) for run in runs)


def _processes(run) -> int:
    return len({line["process"] for line in fake_sweep.lines(run)})


def _logs(out) -> str:
    return "".join(path.read_text() for path in sorted((Path(out) / "logs").iterdir()))


def test_runs_end_with_a_killed_sweep_and_go_on_with_the_next(tmp_path):
    runs = fake_sweep.plan(str(tmp_path), _STEPS, [0, 1], hold=True)
    first = _sweep(tmp_path, 0, 1)
    _until(lambda: _at_step_10(*runs))
    first.send_signal(signal.SIGKILL)
    _until(lambda: not any(run.at_work() for run in runs))
    assert _at_step_10(*runs) and not any(run.summary() for run in runs)
    assert _logs(tmp_path).count("begins") == 2
    fake_sweep.release(runs)
    second = _sweep(tmp_path, 0, 1)
    said = second.communicate()
    assert second.returncode == 0 and all(run.summary() for run in runs) and _every_step_once(*runs), said
    assert _logs(tmp_path).count("Going on from step 10") == 2
    assert _logs(tmp_path).count("begins") == 4, "what was said before is kept"


def test_a_sweep_started_at_once_after_a_kill_takes_over(tmp_path):
    """A run of the killed one is still at work, as it heeds no request to stop."""
    (run,) = fake_sweep.plan(str(tmp_path), _STEPS, [8], hold=True)
    first = _sweep(tmp_path, 8)
    _until(lambda: _at_step_10(run))
    first.send_signal(signal.SIGKILL)
    second = _sweep(tmp_path, 8, 1)
    _until(lambda: "seed 8 is at work in another process: waiting for it" in second.said()[1])
    fake_sweep.release([run])
    said = second.communicate()
    assert second.returncode == 0 and _every_step_once(run) and _processes(run) == 1, said


def test_two_sweeps_of_one_folder_do_every_run_once(tmp_path):
    seeds = [0, 1, 2, 3]
    runs = fake_sweep.plan(str(tmp_path), _STEPS, seeds)
    sweeps = [_sweep(tmp_path, *order) for order in (seeds, seeds[::-1])]
    for each in sweeps:
        said = each.communicate()
        assert each.returncode == 0, said
    assert _every_step_once(*runs) and [_processes(run) for run in runs] == [1] * 4


def test_a_run_that_alone_was_stopped_is_started_again_and_failures_stay_failures(tmp_path):
    (run,) = fake_sweep.plan(str(tmp_path), _STEPS, [0], hold=True)
    process = _sweep(tmp_path, 0, 9)
    _until(lambda: _at_step_10(run))
    os.kill(fake_sweep.lines(run)[0]["process"], signal.SIGTERM)
    _until(lambda: _logs(tmp_path).count("Going on from step 10"))
    fake_sweep.release([run])
    _, said = process.communicate()
    assert process.returncode == 1 and "Failed: digits/Fo_Ha source_only seed 9: seed 9 fails. (exit code 2)" in said
    assert run.summary() is not None and _processes(run) == 2


def _task(tmp_path, seed=0) -> Task:
    (run,) = fake_sweep.plan(str(tmp_path), _STEPS, [seed], hold=True)
    return Task("tests.faults.fake_train", run.arguments, REPOSITORY, str(tmp_path / "logs" / "x.log"))


@pytest.mark.parametrize("seed, stops, code", [(0, 1, 75), (8, 1, -9), (8, 2, -9)])
def test_who_does_not_stop_is_killed(tmp_path, monkeypatch, seed, stops, code):
    monkeypatch.setattr(workers, "STOP_SECONDS", -9.0)  # a second in all
    task, began = _task(tmp_path, seed), []

    def wanted():
        if not began and os.path.exists(task.log) and "begins" in Path(task.log).read_text():
            began.append(1)
        return stops if began else 0

    assert perform(task, {}, wanted).code == code


def test_a_log_is_not_written_through_a_link(tmp_path):
    task = _task(tmp_path)
    os.makedirs(os.path.dirname(task.log))
    (tmp_path / "precious").write_text("precious")
    os.symlink(tmp_path / "precious", task.log)
    with pytest.raises(Exception, match="is a symbolic link"):
        perform(task, {}, int)
    assert (tmp_path / "precious").read_text() == "precious"


_COMMAND = """
import signal, sys, time
from launch import flags
def main():
    if "ignored" in sys.argv:
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        return 0
    try:
        print("started", flush=True)
        while True:  # not one long sleep: a signal between Python's last look and its beginning would wait for its end
            time.sleep(0.1)
    finally:
        print("checkpointed", file=sys.stderr, flush=True)  # fails where the terminal is gone
        open(path, "w").write("checkpointed")
path = sys.argv.pop()
flags.call = lambda main, argv: main()
flags.run(main)
"""


def test_a_lost_terminal_is_heard_like_sigterm(tmp_path):
    ours, theirs = pty.openpty()
    begin = """
import fcntl, os, signal, termios
os.setsid()
fcntl.ioctl(1, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
"""
    process = subprocess.Popen(
        [sys.executable, "-c", begin + _COMMAND, str(tmp_path / "end")],
        cwd=REPOSITORY, stdin=theirs, stdout=theirs, stderr=subprocess.STDOUT,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while b"started" not in said:
        said += os.read(ours, 1000)
    os.close(ours)
    process.wait(120)
    assert (tmp_path / "end").read_text() == "checkpointed"


def test_nohup_is_respected(tmp_path):
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    done = subprocess.run(
        [sys.executable, "-c", ignore + _COMMAND, "ignored", str(tmp_path / "end")],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0 and not re.search("Error", done.stderr), done.stderr
