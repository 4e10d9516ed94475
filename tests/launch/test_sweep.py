"""The sweep as its user runs it: a table, a failed run, a second call, an interruption."""

import csv
import os
import shutil
import signal
import time

import pytest

from gsda_tf.runs.contents import read_metrics
from tests.launch import commands

_ROWS = ("--benchmark=digits", "--tasks=Fo_Ha", "--methods=source_only,gsda")


def _rows(out):
    with open(os.path.join(out, "results.csv"), encoding="utf-8") as file:
        return {(row["method"], row["seed"]): row for row in csv.DictReader(file)}


@pytest.fixture(scope="session")
def swept(tmp_path_factory):
    """Two methods, of which one cannot run: there are more groups than classes."""
    out = str(tmp_path_factory.mktemp("sweep"))
    flags = (*_ROWS, "--seeds=0", *commands.TINY, "--num_groups=11", "--jobs=2", f"--out={out}")
    return out, flags, commands.run("sweep", *flags)


def test_one_failure_does_not_stop_the_rest(swept):
    out, _, done = swept
    assert done.returncode == 1
    assert "Failed: digits/Fo_Ha gsda seed 0: --num_groups=11 asks for more groups" in done.stderr
    rows = _rows(out)
    assert rows["source_only", "0"]["status"] == "done" and rows["gsda", "0"]["status"] == "failed"
    workdir = rows["source_only", "0"]["workdir"]
    assert float(rows["source_only", "0"]["accuracy/target"]) == commands.summary(workdir)["accuracy/target"]
    with open(os.path.join(out, "results.md"), encoding="utf-8") as file:
        text = file.read()
    percent = f"{100 * commands.summary(workdir)['accuracy/target']:.1f}"
    assert f"| source only | {percent} |" in text and "One seed says little" in text and "## Failed" in text
    with open(os.path.join(out, "results.html"), encoding="utf-8") as file:
        assert percent in file.read()


def test_a_second_call_runs_only_what_is_missing(swept, tmp_path):
    out, flags, _ = swept
    again = shutil.copytree(out, tmp_path / "again")  # its tables are written anew
    path = again / os.path.relpath(_rows(out)["source_only", "0"]["workdir"], out) / "summary.json"
    before = os.stat(path).st_mtime_ns
    known = [flag for flag in flags if not flag.startswith(("--num_groups", "--out"))]  # no option of source_only
    output = commands.succeed("sweep", *known, "--methods=source_only", f"--out={again}")
    assert os.stat(path).st_mtime_ns == before and "1 of 1 runs finished" in output


def test_a_stop_checkpoints_the_runs_and_says_how_to_go_on(tmp_path):
    flags = ("--benchmark=digits", "--tasks=Fo_Ha", "--methods=source_only", "--seeds=0", f"--out={tmp_path}",
             *commands.TINY, "--steps=20000", "--report_steps=5", "--checkpoint_steps=100000")  # fmt: skip
    process = commands.start("sweep", *flags)
    workdir = tmp_path / "digits" / "Fo_Ha" / "source_only" / "seed0"
    deadline = time.time() + 120
    while not any(line["step"] for line in read_metrics(str(workdir))):
        assert time.time() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.2)
    # A terminal that is lost: SIGTERM and Ctrl-C take the same way from there.
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 75 and "Traceback" not in said and "The same command goes on" in said
    assert list((workdir / "checkpoints").glob("ckpt-*.index"))
    assert not (workdir / "summary.json").exists()
    assert _rows(tmp_path)["source_only", "0"]["status"] == "missing"


def test_wrong_flags():
    assert "--benchmark is missing" in commands.fail("sweep")
