"""The code and the networks of a user's own are part of what a run is."""

import pytest

from gsda_tf import methods
from gsda_tf.errors import TrainingError
from gsda_tf.runs import code
from gsda_tf.runs.contents import write_settings
from gsda_tf.runs.folder import RunFolder
from gsda_tf.settings import Settings
from tests.runs.made import DATA
from tests.runs.tasks import task

_METHOD = """
from gsda_tf.methods.base import Method

class Mine(Method):
    name, title = "mine", "Mine"
    weight = {weight}
"""


def _settings(**values) -> Settings:
    return Settings().replace(values)


def test_names_of_this_package_have_no_digest():
    assert code.digests(_settings(method="mcc", extractor="small_cnn", weights="none")) == {}


def test_files_are_told_by_their_content(tmp_path):
    for name in ("mine.py", "a.keras", "w.h5"):
        (tmp_path / name).write_text(_METHOD.format(weight=1))
    settings = _settings(
        method=f"{tmp_path}/mine.py:Mine", extractor=str(tmp_path / "a.keras"), weights=str(tmp_path / "w.h5")
    )
    then = code.digests(settings)
    assert set(then) == {"method", "extractor", "weights"} and code.changes(then, settings) == ""
    (tmp_path / "w.h5").write_text("other")
    assert code.changes(then, settings) == f"--weights={tmp_path}/w.h5 has changed"


def test_a_file_that_has_changed_is_run_anew(tmp_path):
    path = tmp_path / "mine.py"
    for weight in (1, 2):
        path.write_text(_METHOD.format(weight=weight))
        assert methods.get_method(f"{path}:Mine").weight == weight


def test_a_run_of_other_code_is_not_gone_on_with(tmp_path):
    path, run = tmp_path / "mine.py", str(tmp_path / "run")
    path.write_text(_METHOD.format(weight=1))
    settings = _settings(method=f"{path}:Mine")
    (tmp_path / "run").mkdir()
    extra = {"task": "t", "class_names": ["a"], "data": DATA, "code": code.digests(settings)}
    write_settings(run, settings.flat(), extra)
    path.write_text(_METHOD.format(weight=2))
    with pytest.raises(TrainingError, match=r"a started run of other code \(--method=.*mine.py:Mine has changed"):
        RunFolder(run).same(settings, task())
