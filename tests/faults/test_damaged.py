"""Files of a run that are damaged, or were changed by hand: each is told in one line, whoever reads them."""

import contextlib
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes
from gsda_tf.errors import UserError
from gsda_tf.files import cell
from gsda_tf.models.extractor import build_extractor
from gsda_tf.reporting.report import write_report
from gsda_tf.reporting.runs import load_run
from gsda_tf.runs.checkpoints import Checkpoints, check_widths
from gsda_tf.runs.contents import fits, read_metrics
from gsda_tf.runs.folder import RunFolder
from gsda_tf.runs.initial import Initial, inherited
from gsda_tf.runs.log import MetricsLog
from gsda_tf.settings import Settings
from gsda_tf.training.experiment import restore
from gsda_tf.training.inference import Sharded
from tests.reporting import runs
from tests.runs.made import SUMMARY


def _report(workdir):
    load_run(workdir)


def _evaluate(workdir):
    restore(workdir)


def _train(workdir):
    RunFolder(workdir).same(Settings(), None)


def _goes_on(workdir):
    MetricsLog(workdir, 10).close()


def _settings(**values):
    """settings.json with other values at the top, or in the settings."""

    def damage(workdir):
        path = os.path.join(workdir, "settings.json")
        with open(path) as file:
            content = json.load(file)
        for name, value in values.items():
            place = content if name in content else content["settings"]
            place.update({name: value})
        with open(path, "w") as file:
            json.dump(content, file)

    return damage


def _write(name, content):
    def damage(workdir):
        with open(os.path.join(workdir, name), "wb") as file:
            file.write(content)

    return damage


_ALL = (_report, _evaluate, _train)
_CASES = {
    "a list for an object": (_write("settings.json", b"[]"), _ALL, "settings.json is damaged: 'list' object"),
    "cut off": (_write("settings.json", b'{"generation": '), _ALL, "settings.json is damaged: Expecting value"),
    "no text": (_write("settings.json", b"\xff\xfe"), _ALL, "settings.json is damaged: "),
    "depth": (_write("settings.json", b"[" * 10**5), _ALL, "settings.json is damaged: "),
    "settings as a list": (_settings(settings=[]), _ALL, "its settings."),
    "no settings": (_settings(settings={}), _ALL, "its settings."),
    "no steps": (_settings(steps=0), _ALL, "--steps=0 is out of range: expected at least 1"),
    "an unknown choice": (_settings(recipe="best"), _ALL, "Unknown --recipe 'best'"),
    "no data": (_settings(data={}), _ALL, "its data."),
    "data of another kind": (
        _settings(data={"source": {"0": 3}, "target": {}}), _ALL, "its data."
    ),
    "a text for a number": (_settings(steps="many"), _ALL, "its settings."),
    "a truth for a number": (_settings(steps=True), _ALL, "its settings."),
    "a number for a text": (_settings(task=7), _ALL, "its task."),
    "an object for a list": (_settings(num_groups={"0": 1}), _ALL, "--num_groups={'0': 1}: expected whole numbers"),
    "texts in a list": (_settings(num_groups=["6"]), _ALL, "its num_groups."),
    "a number beyond all": (_settings(alpha=10**400), _ALL, "--alpha=1000"),
    "class names that are numbers": (_settings(class_names=[1, 2]), _ALL, "its class_names."),
    "a line that is a list": (_write("metrics.jsonl", b"[1]\n"), (_report, _goes_on), "line 1."),
    "a line without a step": (_write("metrics.jsonl", b'{"x": 1}\n'), (_report, _goes_on), "line 1."),
    "a step that is a text": (_write("metrics.jsonl", b'{"step": "1"}\n'), (_report, _goes_on), "line 1."),
    "a value that is a text": (
        _write("metrics.jsonl", b'{"step": 1}\n{"step": 2, "loss/entropy": "low"}\n'),
        (_report, _goes_on),
        "line 2.",
    ),
    "a value that is no number": (_write("metrics.jsonl", b'{"step": 1, "x": NaN}\n'), (_report, _goes_on), "line 1."),
    "a line that is torn, not the last": (
        _write("metrics.jsonl", b'{"step": 1, "lo\n{"step": 2}\n'), (_report, _goes_on), "metrics.jsonl is damaged: "
    ),
    "a number that no float32 is": (
        _write("metrics.jsonl", b'{"step": 1, "S/x": -1e308}\n'), (_report, _goes_on), "line 1."
    ),
    "a step beyond all": (_write("metrics.jsonl", b'{"step": 1e9}\n'), (_report, _goes_on), "line 1."),
    "a line without an end": (
        _write("metrics.jsonl", b'{"step": ' + b"1" * 2**20), (_report, _goes_on), "metrics.jsonl is damaged: "
    ),
    "a name that is none": (_write("metrics.jsonl", b'{"step": 1, "S/$x": 1}\n'), (_report, _goes_on), "line 1."),
    "a summary of texts": (
        _write("summary.json", json.dumps({**SUMMARY, "step": "1"}).encode()), (_report,), "its step."
    ),
    "a summary without a method": (
        _write("summary.json", json.dumps({k: v for k, v in SUMMARY.items() if k != "method"}).encode()), (_report,),
        "its method.",
    ),
    "a summary whose rate is a text": (
        _write("summary.json", json.dumps({**SUMMARY, "wall_seconds": "1"}).encode()),
        (_report,),
        "its wall_seconds.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", _CASES)
def test_what_is_damaged_is_told_in_one_line(case, tmp_path):
    damage, readers, expected = _CASES[case]
    workdir = runs.write(tmp_path / "run")
    damage(workdir)
    for read in readers:
        with pytest.raises(UserError) as error:
            read(workdir)
        message = str(error.value)
        assert expected in message and "is damaged: " in message and "\n" not in message, message
        assert "Remove it, or start anew" in message and len(message) < 400


@pytest.mark.parametrize(
    "changes",
    [
        {"target_labels": np.zeros(3, int)},
        {"target_labels": np.full(60, 7)},
        {"target_indices": np.full(30, 99)},
        {"target_features": np.array(["x"] * 30)},
        {"target_labels": np.array([None] * 60)},
        {"target_features": np.zeros((30, 9))},
        {"source_features": None},
    ],
)
def test_arrays_that_do_not_fit_together(changes, tmp_path):
    workdir = runs.write(tmp_path / "run")
    path = os.path.join(workdir, "evaluation.npz")
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
    with pytest.raises(UserError, match=r"evaluation\.npz.*Remove it|is damaged, or of another version") as error:
        write_report(workdir)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["settings.json", "metrics.jsonl", "summary.json", "evaluation.npz"])
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder", "bytes"])
def test_what_is_no_file_or_has_no_end_is_neither_waited_for_nor_read(name, kind, tmp_path):
    workdir = runs.write(tmp_path / "run")
    path = os.path.join(workdir, name)
    os.remove(path)
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        os.symlink("/dev/zero", path)
    elif kind == "a folder":
        os.mkdir(path)
    else:
        with open(path, "wb") as file:
            file.truncate(2**41)
    with pytest.raises(UserError, match=kind):
        load_run(workdir)


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"bottleneck_units": 131072}, "--bottleneck_units=131072"),
        ({"method": "mcd", "mcd_head_units": (64, 100_000)}, "--mcd_head_units=64,100000"),
        ({"method": "mcd", "mcd_head_units": (64,) * 3}, "--mcd_head_units=64,64,64"),
        ({"discriminator_units": (30_000, 30_000)}, None),  # they are not built
        ({"method": "tca", "tca_units": 100}, None),  # at most so many
    ],
)
def test_networks_are_not_made_larger_than_the_weights_that_there_are(changes, told):
    settings = recipes.written({"bottleneck_units": 64, **changes})
    refused = pytest.raises(UserError, match=f"settings.json tells of {told}, and its checkpoint has nothing of that")
    with refused if told else contextlib.nullcontext():
        check_widths("run", settings.flat(), {"bottleneck": [1280, 64], "classifier": [64, 10]})


def test_init_from_goes_by_the_weights_that_there_are(tmp_path):
    workdir = runs.write(tmp_path / "run")
    Checkpoints({"extractor": [tf.Variable(tf.zeros([4, 8]))]}, workdir, keep=1).save(1)
    _settings(bottleneck_units=131072)(workdir)
    with pytest.raises(UserError, match="tells of --bottleneck_units=131072"):
        Initial(workdir)
    with pytest.raises(UserError, match="holds no run: expected"):
        inherited(os.path.join(workdir, "export", "1"))


def test_images_of_any_size_take_no_more_memory():
    """What a stranger's settings may tell of, and fits to the weights."""
    settings = recipes.written({"image_size": 4096, "resize_size": 4096, "bottleneck_units": 8}).replace(
        {"extractor": "small_cnn", "weights": "none"}
    )
    assert Sharded(tf.identity, settings.data, tf.distribute.get_strategy()).batch == 2
    with pytest.raises(UserError, match="gives 33,554,432 features, on which --bottleneck_units=8 are too many"):
        build_extractor(settings.model, 4096)
    many = settings.replace({"extractor": ",".join(["convnextxlarge"] * 9), "freeze_backbone": True})
    with pytest.raises(UserError, match="names 9 backbones: expected 5 at most"):
        build_extractor(many.model, 64)


def test_a_last_line_that_was_cut_off_is_no_damage(tmp_path):
    workdir = runs.write(tmp_path / "run")
    whole = read_metrics(workdir)
    with open(os.path.join(workdir, "metrics.jsonl"), "a") as file:
        file.write('{"step": 99, "lo')
    assert read_metrics(workdir) == whole


def test_kinds():
    assert fits(1, float) and fits(1.5, float) and fits([1], [int]) and fits(None, (float, None)) and fits(3, int)
    assert fits({"a": 1}, {str: int}) and fits({"a": 1, "b": ""}, {"a": int}) and not fits({"b": 1}, {"a": int})
    assert not any((fits(True, int), fits(1.5, int), fits(float("nan"), float), fits("x", [str])))
    assert not any((fits(1e39, float), fits([], {str: int}), fits({"a": 1}, {"a": str})))


def test_cells():
    """To a spreadsheet, text is no formula; to a terminal, no command."""
    assert [cell(v) for v in ("=1+1", "+x", "-x", "@x", "a=b", 3, -0.5)] == [
        "'=1+1", "'+x", "'-x", "'@x", "a=b", 3, -0.5,
    ]  # fmt: skip
    assert cell("a\x1b[31m\nb\t\udcff") == "a\\x1b[31m\\nb\\t\udcff"
