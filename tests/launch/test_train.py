"""The main job as its user runs it: train, resume, train again; and what wrong flags say."""

import json
import os
import random
import signal
import time

import numpy as np
import pytest

from gsda_tf.runs.contents import read_metrics
from tests.faults import inprocess
from tests.launch import commands


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("run")
    output = commands.succeed("train", *commands.TINY, f"--workdir={workdir}", "--report=false")
    return str(workdir), output


def test_leaves_what_its_user_needs(finished):
    workdir, output = finished
    summary = commands.summary(workdir)
    assert summary["task"] == "digits/Fo_Ha" and summary["method"] == "gsda" and summary["seed"] == 0
    assert summary["step"] == summary["steps"] == 40
    assert 0 <= summary["accuracy/target"] <= 1 and 0 <= summary["accuracy/source"] <= 1
    assert set(summary["target_per_class_accuracy"]) == set("0123456789")
    np.testing.assert_allclose(
        np.mean(list(summary["target_per_class_accuracy"].values())), summary["accuracy/target_mean_class"]
    )
    assert len(summary["weights_sha256"]) == 64
    assert summary["settings"]["num_groups"] == [3] and "tensorflow" in summary["versions"]
    assert sorted(name for group in summary["groups"] for name in group) == sorted("0123456789")
    assets = {}
    for name in ("class_names", "groups", "summary"):
        with open(os.path.join(summary["export_dir"], "assets", f"{name}.json"), encoding="utf-8") as file:
            assets[name] = json.load(file)
    assert assets["class_names"] == list("0123456789") and assets["groups"] == summary["groups"]
    assert assets["summary"]["accuracy/target"] == summary["accuracy/target"]
    assert "accuracy/target" in output and workdir in output


def test_logs_have_every_term(finished):
    lines = read_metrics(finished[0])
    reports = [line for line in lines if "alignment/domain" in line]
    assert [line["step"] for line in reports] == [10, 20, 30, 40]
    expected = {
        "loss/classification", "loss/entropy", "alignment/domain", "alignment/group", "alignment/class",
        "loss/synchronization",
        "S/domain", "S/group", "S/class", "difference/domain", "difference/group", "learning_rate",
        "adversarial_weight", "alpha", "accuracy/discriminator_domain", "accuracy/discriminator_group",
        "accuracy/discriminator_class",
    }  # fmt: skip
    assert expected <= set(reports[0])
    assert [line["step"] for line in lines if "accuracy/target" in line] == [0, 20, 40]
    assert any(name.startswith("events") for name in os.listdir(os.path.join(finished[0], "tensorboard")))


def test_the_same_command_again_shows_the_result_and_trains_no_more(finished):
    workdir, _ = finished
    before = os.stat(os.path.join(workdir, "summary.json")).st_mtime_ns
    output = commands.succeed("train", *commands.TINY, f"--workdir={workdir}", "--report=false")
    assert "accuracy/target" in output
    assert os.stat(os.path.join(workdir, "summary.json")).st_mtime_ns == before


def _interrupted(workdir, kills, seed):
    """Kills a run at random moments until it has died `kills` times, then lets it finish."""
    rng = random.Random(seed)
    flags = [*commands.TINY, f"--workdir={workdir}", "--report=false", "--noexport"]
    died = 0
    while died < kills and not os.path.exists(os.path.join(workdir, "summary.json")):
        process = commands.start("train", *flags)
        log = os.path.join(workdir, "metrics.jsonl")
        lines = len(read_metrics(workdir))
        deadline = time.monotonic() + 120
        # From the moment that it has written something new, so that kills fall into training, not into imports.
        while (
            process.poll() is None
            and time.monotonic() < deadline
            and (not os.path.exists(log) or len(read_metrics(workdir)) <= lines)
        ):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
        said = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), said
        died += process.returncode == -signal.SIGKILL
    commands.succeed("train", *flags)
    return died


def _assert_as_if_never_interrupted(workdir, finished):
    whole, broken = commands.summary(finished), commands.summary(workdir)
    assert broken["weights_sha256"] == whole["weights_sha256"]
    ours, theirs = read_metrics(workdir), read_metrics(finished)
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    for one, other in zip(ours, theirs):
        assert one == other


@pytest.mark.slow
def test_ten_kills(finished, tmp_path):
    died = 0
    for attempt in range(4):
        workdir = str(tmp_path / str(attempt))
        died += _interrupted(workdir, kills=4, seed=attempt)
        _assert_as_if_never_interrupted(workdir, finished[0])
    assert died >= 10


def test_sigterm_checkpoints_and_says_how_to_go_on(finished, tmp_path):
    flags = [*commands.TINY, f"--workdir={tmp_path}", "--report=false", "--noexport", "--checkpoint_steps=1000"]
    process = commands.start("train", *flags)
    while process.poll() is None and not any(line["step"] for line in read_metrics(str(tmp_path))):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 75, stderr
    assert "Stopped at step " in stderr and "The same command goes on" in stderr
    commands.succeed("train", *flags)
    _assert_as_if_never_interrupted(str(tmp_path), finished[0])


@pytest.mark.parametrize(
    "flag, expected",
    [
        ("--task=digits/Fo_Xx", "Unknown task of digits 'Fo_Xx': expected one of "),
        ("--task=digit/Fo_Ha", "Did you mean 'digits'?"),
        ("--task=digits", "BENCHMARK/SOURCE_TARGET"),
        ("--num_groups=11", "more groups than there are classes (10)"),
        ("--num_groups=a", "expected whole numbers"),
        ("--confidence_threshold=1.5", "expected at most 1"),
        ("--workdir=/proc/no", "writing to --workdir=/proc/no"),
    ],
)
def test_a_mistake_is_told_in_one_line(flag, expected, tmp_path):
    assert expected in inprocess.refuse(f"--workdir={tmp_path / 'run'}", flag)
    assert not os.path.exists(tmp_path / "run" / "settings.json")
