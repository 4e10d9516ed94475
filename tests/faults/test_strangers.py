"""The folder of a run may be anybody's: it says what is computed, and nothing of this machine and its user."""

import functools
import json
import os
import socket

import pytest
import tensorflow_datasets as tfds

from gsda_tf import recipes, settings
from gsda_tf.datasets.preparing import prepare
from gsda_tf.errors import UserError
from gsda_tf.models import backbones
from gsda_tf.recipes import written
from gsda_tf.reporting import picks, report
from gsda_tf.runs import code
from gsda_tf.runs.contents import write_settings
from gsda_tf.training.experiment import restore
from tests.reporting import runs
from tests.runs.made import DATA

_MACHINE = {field.name: field for field in settings.fields() if not field.metadata["foreign"]}


def _hostile(field, folder):
    if field.metadata["choices"]:
        return field.metadata["choices"][-1]
    kinds = {bool: lambda default: not default, int: lambda default: default + 1, float: lambda default: default + 1}
    return kinds.get(type(field.default), lambda default: str(folder / "theirs"))(field.default)


@pytest.mark.parametrize("name", _MACHINE)
def test_nothing_of_this_machine_is_taken_from_a_folder(name, tmp_path):
    field = _MACHINE[name]
    value = _hostile(field, tmp_path)
    assert value != field.default
    theirs = {**written({"beta": 3.0}).flat(), name: value}
    taken, said = recipes.restored(theirs, {})
    assert taken.flat()[name] == (name != "download" and field.default) and taken.options.beta == 3.0
    place = field.metadata["path"] and field.metadata["restoring"]
    assert said == ([f"--{name}={value}"] if place else []), "what is missing is told"
    if not field.metadata["needs"]:
        taken, said = recipes.restored(theirs, {name: value})
        assert taken.flat()[name] == value and said == [], "the user's word counts"


def test_what_computes_is_taken_and_where_data_lie_is_read(tmp_path):
    values = written({"steps": 7, "method": "mcc", "source_dir": "/a", "pipeline": "folders", "seed": 3}).flat()
    taken, said = recipes.restored(json.loads(json.dumps(values)), {})
    # The checkpoint has all weights.
    assert taken.flat() == {**values, "weights": "none", "download": False} and said == []
    with pytest.raises(UserError, match=r"this version does not know \(gone\\n, older\): it is of another"):
        recipes.restored({**values, "older": 1, "gone\n": ""}, {})


def test_code_that_a_folder_names_is_not_run_by_whoever_reads_it(tmp_path):
    ran = tmp_path / "ran"
    (tmp_path / "theirs.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    finished, new = runs.write(tmp_path / "run"), runs.write(tmp_path / "new", "new")
    for path in (*tmp_path.glob("*/settings.json"), *tmp_path.glob("*/summary.json")):
        content = json.loads(path.read_text())
        content["settings"]["method"] = f"{tmp_path / 'theirs.py'}:Theirs"
        path.write_text(json.dumps(content))
    for read in (restore, functools.partial(picks.write_picks, count=4)):
        with pytest.raises(UserError, match=r"was trained by code in a file: say --method=.*if you trust it"):
            read(finished)
    report.write_report(new)
    assert not ran.exists()


def test_what_a_folder_names_as_a_model_is_not_read_without_end(tmp_path):
    os.mkfifo(tmp_path / "pipe.keras")
    with open(tmp_path / "sparse.keras", "wb") as file:
        file.truncate(2**42)
    for path in ("/", "/dev/zero", "/proc", tmp_path / "pipe.keras", tmp_path / "sparse.keras"):
        assert code.digests(written({"extractor": str(path)})) == {}
    with pytest.raises(UserError, match="Unknown extractor"):
        backbones.own_size("features:1000000000")


@pytest.mark.parametrize(
    "named", [{"task": "domainnet/Re_Cl"}, {"pipeline": "tfds", "source": "mnist", "target": "usps"}]
)
def test_nothing_is_fetched_because_a_folder_names_it(named, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "mine"))
    write_settings(str(tmp_path), written(named).flat(), {"class_names": ["a", "b"], "data": DATA, "task": "t"})
    monkeypatch.setattr(prepare, "_prepare", lambda *_, **__: pytest.fail("it is fetched"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("the network is asked"))
    with pytest.raises(UserError, match=r"is not fetched unasked.*: say --download if you want it"):
        restore(str(tmp_path), data_dir=str(tmp_path / "data"))
    with pytest.raises(pytest.fail.Exception):
        restore(str(tmp_path), data_dir=str(tmp_path / "data"), download=True)
    assert not (tmp_path / "mine").exists()


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A run's folder in which a data set names a module as one of its features; returns (folder, what that module
    leaves where it is imported)."""
    run, ran = tmp_path / "run", tmp_path / "ran"
    prepared = run / "data" / "mnist" / "evil" / "1.0.0"
    prepared.mkdir(parents=True)
    (tmp_path / "payload_of_a_stranger.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Feature: pass\n")
    (prepared / "features.json").write_text(json.dumps({"pythonClassName": "payload_of_a_stranger.Feature"}))
    (prepared / "dataset_info.json").write_text(json.dumps({"name": "mnist", "version": "1.0.0", "configName": "evil"}))
    named = {"pipeline": "tfds", "source": "mnist/evil:train", "target": "mnist:test", "data_dir": str(run / "data")}
    extra = {"class_names": ["a", "b"], "data": DATA, "task": "t"}
    write_settings(str(run), written(named).flat(), extra)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "mine"))
    return run, ran


def test_a_runs_folder_runs_no_code_by_the_features_of_a_data_set(trap, capsys):
    run, ran = trap
    with pytest.raises(UserError, match="mnist has no configurations: leave /evil out"):
        restore(str(run))
    assert f"--data_dir={run / 'data'}: not taken from a run's folder" in capsys.readouterr().out
    with pytest.raises(UserError, match="mnist has no configurations: leave /evil out"):
        restore(str(run), data_dir=str(run / "data"))  # of a stranger, by the user's own word
    assert not ran.exists()
    with pytest.raises(Exception):  # noqa: B017 - the trap is one: this is what TFDS does by itself
        tfds.builder("mnist/evil", data_dir=str(run / "data"))
    assert ran.exists()
