"""Whether a run may go on in a folder: its settings, then and now."""

import json
import os
import subprocess

import pytest

from gsda_tf import recipes
from gsda_tf.data.fingerprint import fingerprint
from gsda_tf.errors import TrainingError
from gsda_tf.runs.contents import write_settings
from gsda_tf.runs.folder import RunFolder
from tests.launch import commands
from tests.processes import REPOSITORY
from tests.runs.tasks import task

_NOW = recipes.written({"beta": 2.0, "num_groups": (3, 2)}).flat()
_EXTRA = {"task": "digits/Fo_Ha", "class_names": ["0", "1"], "data": fingerprint(task())}


def _goes_on(workdir, **changes):
    RunFolder(str(workdir)).same(recipes.written({**_NOW, **changes}), task())


def test_the_same_settings_go_on(tmp_path):
    _goes_on(tmp_path)
    write_settings(str(tmp_path), _NOW, _EXTRA)
    _goes_on(tmp_path)
    _goes_on(tmp_path, keep_checkpoints=9, data_dir="elsewhere", checkpoint_seconds=1.0)


def test_arrays_may_lie_elsewhere_but_a_set_of_tfds_is_what_its_name_says(tmp_path):
    write_settings(str(tmp_path), {**_NOW, "source": "/a/x.npz", "target": "mnist:train"}, _EXTRA)
    _goes_on(tmp_path, source="/b/y.npz", target="mnist:train")
    for moved in ({"source": "mnist"}, {"target": "mnist:test"}):
        with pytest.raises(TrainingError, match=f"--{next(iter(moved))}="):
            _goes_on(tmp_path, **{"source": "/a/x.npz", "target": "mnist:train", **moved})


def test_others_are_refused_with_the_list_of_differences(tmp_path):
    write_settings(str(tmp_path), _NOW, _EXTRA)
    with pytest.raises(TrainingError) as refused:
        _goes_on(tmp_path, beta=3.0, num_groups=(4,), overwrite=True)
    message = str(refused.value)
    assert "(--num_groups=[3, 2] then, [4] now; --beta=2.0 then, 3.0 now)" in message and "--overwrite" in message


def test_another_generation_is_refused(tmp_path):
    write_settings(str(tmp_path), _NOW, _EXTRA)
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "generation": "keras9"}))
    with pytest.raises(TrainingError, match="is of keras9"):
        _goes_on(tmp_path)


_OTHER = os.environ.get("GSDA_OTHER_PYTHON")


@pytest.mark.skipif(not _OTHER, reason="GSDA_OTHER_PYTHON names no interpreter of the other TensorFlow generation")
def test_a_run_of_the_other_generation_is_refused_and_left_as_it_is(tmp_path):
    flags = [*commands.TINY, "--task=digits/Fo_Ha", "--noexport", "--noreport", f"--workdir={tmp_path}"]
    subprocess.run([_OTHER, "-m", "launch.train", *flags], cwd=REPOSITORY, check=True, capture_output=True)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()}
    (tmp_path / "summary.json").unlink()  # as if it had been stopped
    for command, given in (("train", flags), ("evaluate", [f"--workdir={tmp_path}"])):
        told = commands.fail(command, *given)
        assert "keras2" in told and "keras3" in told
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()}
