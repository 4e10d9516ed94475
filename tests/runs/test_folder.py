"""What is found in a run's folder, and what starting anew takes away."""

import json
import os

import pytest

from gsda_tf.errors import TrainingError, UserError
from gsda_tf.runs import folder as workdir

_SUMMARY = {
    "task": "digits/Fo_Ha", "method": "gsda", "seed": 0, "step": 40, "weights_sha256": "ab", "versions": {"x": "1"},
    "selection": {"step": 40}, "settings": {"num_groups": (3,)}, "wall_seconds": 12.0,
}  # fmt: skip


def _export(root, version, summary):
    os.makedirs(root / "export" / version / "assets")
    (root / "export" / version / "assets" / "summary.json").write_text(json.dumps(summary))


def test_an_export_of_this_very_result_is_found_again(tmp_path):
    folder = workdir.RunFolder(str(tmp_path))
    assert folder.exported(_SUMMARY) is None
    _export(tmp_path, "1", _SUMMARY)
    assert folder.exported({**_SUMMARY, "wall_seconds": 99.0}) == str(tmp_path / "export" / "1")
    assert folder.exported({**_SUMMARY, "weights_sha256": "cd"}) is None
    (tmp_path / "export" / ".writing-x").mkdir()
    _export(tmp_path, "10", {**_SUMMARY, "step": 30})
    assert folder.exported(_SUMMARY) is None, "the newest counts: it is what is served"
    _export(tmp_path, "11", {"exported_step": 3})
    assert folder.exported(_SUMMARY) is None


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
