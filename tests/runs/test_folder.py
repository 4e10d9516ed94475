"""What is found in a run's folder, and what starting anew takes away."""

import os

import pytest

from gsda_tf.errors import TrainingError, UserError
from gsda_tf.runs import folder as workdir


def test_starting_anew_takes_away_what_runs_leave_and_nothing_else(tmp_path):
    for name in ("summary.json", "settings.json", "metrics.jsonl", "evaluation.npz", "report.html", "mine.txt"):
        (tmp_path / name).write_text("")
    for name in ("checkpoints", "export", "tensorboard", "my folder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    workdir.clear(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["mine.txt", "my folder"]
    workdir.clear(str(tmp_path))


def test_one_run_a_folder(tmp_path):
    with workdir.RunFolder(str(tmp_path)).held():
        second = pytest.raises(TrainingError, match=r"Another run is at work in .*: wait for it")
        with second, workdir.RunFolder(str(tmp_path)).held():
            pass
    with workdir.RunFolder(str(tmp_path)).held():
        pass


def test_a_folder_that_tensorflow_takes_for_a_pattern_is_refused_before_it_is_made(tmp_path):
    with pytest.raises(UserError, match=r"a\[1\]: TensorFlow takes .* for a pattern"):
        workdir.RunFolder(f"{tmp_path}/a[1]").held().__enter__()
    assert not os.listdir(tmp_path)
