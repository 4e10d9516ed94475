"""A whole run in this process, of networks of a moment: what it leaves, and that it goes on exactly."""

import json
import os
import shutil

import numpy as np
import pytest

from gsda_tf.errors import TrainingError, UserError
from gsda_tf.runs.contents import read_metrics
from gsda_tf.training import run, runner
from tests.methods.build import SMALL, task

_RUN = {**SMALL, "method": "mcc", "steps": 6, "report_steps": 2, "evaluate_steps": 3, "checkpoint_steps": 2,
        "export": False, "report": False, "deterministic": True}  # fmt: skip


def _settings(workdir, **changes):
    from gsda_tf import recipes

    return recipes.written({**_RUN, "workdir": str(workdir), **changes})


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(folder, summary) of a run that nothing interrupted; to be read."""
    workdir = tmp_path_factory.mktemp("run")
    return workdir, run.train(_settings(workdir), data=task())


def test_it_leaves_settings_log_checkpoints_and_a_summary(finished):
    workdir, summary = finished
    assert json.loads((workdir / "summary.json").read_text()) == json.loads(json.dumps(summary))
    assert summary["step"] == summary["steps"] == 6 and summary["method"] == "mcc" and summary["export_dir"] is None
    assert 0 <= summary["accuracy/target"] <= 1 and set(summary["target_per_class_accuracy"]) == set("pqrs")
    lines = read_metrics(str(workdir))
    assert [line["step"] for line in lines if "loss/mcc" in line] == [2, 4, 6]
    assert [line["step"] for line in lines if "accuracy/target" in line] == [0, 3, 6]
    assert {f"ckpt-{step}.index" for step in (2, 4, 6)} <= set(os.listdir(workdir / "checkpoints"))
    with np.load(workdir / "evaluation.npz") as kept:
        right = kept["target_probabilities"].argmax(axis=1) == task().target.labels
    assert np.mean(right) == pytest.approx(summary["accuracy/target"])


def test_finished_is_finished(finished, capsys):
    workdir, summary = finished
    before = {name: os.stat(workdir / name).st_mtime_ns for name in os.listdir(workdir)}
    again = run.train(_settings(workdir), data=task())
    assert again["weights_sha256"] == summary["weights_sha256"] and "Finished before" in capsys.readouterr().out
    assert {name: os.stat(workdir / name).st_mtime_ns for name in before} == before


def test_a_run_that_was_stopped_in_its_report_is_finished_and_gets_one(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    made = []
    for _ in range(2):
        run.train(_settings(tmp_path / "run", report=True), report=made.append, data=task())
        (tmp_path / "run" / "report.html").touch()
    assert made == [str(tmp_path / "run")]


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("killed", [3])
def test_killed_anywhere_it_ends_as_if_it_had_not_been(finished, tmp_path, monkeypatch, killed):
    """While step `killed` + 1 is under way: what was done since the checkpoint is done again."""
    original = runner.StepRunner.__call__

    def dies(self, iterator, steps):
        original(self, iterator, min(steps, killed + 1 - self.steps_done))
        if self.steps_done > killed:
            raise _KilledError

    with monkeypatch.context() as patch, pytest.raises(_KilledError):
        patch.setattr(runner.StepRunner, "__call__", dies)
        run.train(_settings(tmp_path), data=task())
    assert not (tmp_path / "summary.json").exists()
    summary = run.train(_settings(tmp_path), data=task())
    assert summary["weights_sha256"] == finished[1]["weights_sha256"]
    assert read_metrics(str(tmp_path)) == read_metrics(str(finished[0]))


def test_a_damaged_checkpoint_is_passed_over(finished, tmp_path, capsys):
    shutil.copytree(finished[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "summary.json").unlink()
    (newest,) = (tmp_path / "checkpoints").glob("ckpt-6.data*")
    newest.write_bytes(newest.read_bytes()[:100])
    summary = run.train(_settings(tmp_path), data=task())
    said = capsys.readouterr().out
    assert "Damaged checkpoint passed over" in said and "Going on from step 4" in said
    assert summary["weights_sha256"] == finished[1]["weights_sha256"]
    assert read_metrics(str(tmp_path)) == read_metrics(str(finished[0]))


def test_export_and_report_are_called_once_at_the_end_with_the_weights_of_then(tmp_path, finished):
    seen = []

    def export(experiment, root, summary):
        seen.append((experiment.weights_sha256(), root))
        return os.path.join(root, "1")

    summary = run.train(_settings(tmp_path, export=True, report=True), export, seen.append, task())
    assert summary["export_dir"] == str(tmp_path / "export" / "1")
    assert seen == [(finished[1]["weights_sha256"], str(tmp_path / "export")), str(tmp_path)]


def test_other_settings_in_its_folder_are_refused_and_nothing_is_touched(finished):
    workdir, _ = finished
    before = sorted(os.listdir(workdir))
    with pytest.raises(UserError, match=r"--learning_rate=0\.1 then, 0\.2 now"):
        run.train(_settings(workdir, learning_rate=0.2), data=task())
    assert sorted(os.listdir(workdir)) == before


def test_one_that_diverges_names_step_and_term_and_writes_no_summary(tmp_path):
    with pytest.raises(TrainingError, match=r"Not finite at step \d: .*"):
        run.train(_settings(tmp_path, learning_rate=1e9, momentum=0.9), data=task())
    assert not (tmp_path / "summary.json").exists()
