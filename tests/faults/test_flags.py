"""Flags that are out of range, misspelt or contradict one another; and generated ones: one line, whatever they hold."""

import contextlib
import errno
import io
import json
import math
import os

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gsda_tf import recipes
from gsda_tf import settings as settings_lib
from gsda_tf.datasets import BENCHMARKS
from gsda_tf.errors import UserError
from gsda_tf.training.distribution import check_tf_config
from tests.faults import inprocess

_FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
_NAMES = [field.name for field in settings_lib.fields()]


@pytest.mark.parametrize(
    "flags, expected",
    [
        ("--source_dir=x", "--pipeline=folders needs --target_dir"),
        ("--source_list=x", "--pipeline=lists needs --target_list"),
        ("--source_dir=x --pipeline=benchmark", "is for --pipeline=folders, but --pipeline=benchmark: say --pipeline="),
        ("--source_dir=x --source_list=y", "is for --pipeline=lists, but --pipeline=folders"),
        ("--pipeline=folders --source_dir=a --target_dir=b --task=digits/Fo_Ha", "is for --pipeline=benchmark"),
        ("--num_devices=2", "is for --strategy=mirrored, but --strategy=default"),
        ("--virtual_devices=2", "is for --strategy=mirrored"),
        ("--virtual_devices=2 --strategy=one_device", "but --strategy=one_device"),
        ("--feature_cache_dir=x", "is for --freeze_backbone or --train_from"),
        ("--train_from=last --freeze_backbone", "contradict each other"),
        ("--train_from=last --method=tca", "is fitted: say --freeze_backbone"),
        ("--groups_file=x --num_groups=3", "contradict each other"),
        ("--resize_size=10 --image_size=20", "it must be at least as large"),
        ("--evaluate_stepz=3", "Did you mean '--evaluate_steps'?"),
        ("--nodetermnistic", "Did you mean '--deterministic'?"),
        ("--Learning_Rate=3", "Did you mean '--learning_rate'?"),
        ("--method=gdsa", "Did you mean 'gsda'?"),
        ("--task=office_31/A_W", "Did you mean 'office31'?"),
        ("--precision=float16", "mixed_float16"),
        ("--extractor=resnet5 --pipeline=folders --source_dir=none --target_dir=none", "Did you mean 'resnet50'?"),
        ("--extractor=none.keras", "none.keras was not loaded: it is no .keras file"),
        ("--weights=none.h5", "none.h5: no such file"),
        ("--steps=-3", "--steps=-3 is out of range: expected at least 1"),
        ("--steps=five", "--steps=five: expected a whole number"),
        ("--beta=nan", "--beta=nan is out of range"),
        ("--steps=9223372036854775808", "expected at most 1,000,000,000"),
        ("--seed=4294967296", "expected at most 4,294,967,295"),
        ("--bottleneck_units=100000000000", "expected at most 131,072"),
        ("--evaluation_batch=1000000000", "expected at most 131,072"),
        ("--learning_rate=1e400", "--learning_rate=inf is out of range"),
        ("--learning_rate=nan", "--learning_rate=nan is out of range"),
        ("--report=maybe", "--report"),
        ("--discriminator_units=0", "expected at least 1"),
        ("--steps", "--steps"),
        ("stray", "Unexpected argument 'stray'"),
    ],
)
def test_a_mistake_is_told_in_one_line(flags, expected, tmp_path):
    message = inprocess.refuse(f"--workdir={tmp_path / 'run'}", *flags.split(" "))
    assert expected in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [name for name in _NAMES if name not in ("workdir", "task")])
def test_one_slip_in_any_name_is_put_right(name):
    message = inprocess.refuse(f"--{name[:-2]}{name[-1]}{name[-2]}x=1")
    assert "Did you mean '--" in message


@_FEW
@given(name=st.sampled_from(_NAMES), value=st.text(max_size=20))
def test_any_value_is_taken_or_refused_in_one_line(name, value):
    field = next(field for field in settings_lib.fields() if field.name == name)
    if isinstance(field.default, str) and not field.metadata["choices"]:
        return  # a path or a name: any text is one, and what it names is looked for later
    code, told = _parse(f"--{name}={value}")
    assert code == 0 or (len(told.splitlines()) == 1 and told.startswith("Error: ") and told.strip().isprintable())


def _parse(*arguments):
    """As launch.train up to the settings."""
    from unittest import mock

    from launch import flags, train

    def main():
        recipes.resolve(flags.given())

    with mock.patch.object(train, "main", main):
        return inprocess.run(*arguments)


@_FEW
@given(
    name=st.sampled_from([f.name for f in settings_lib.fields() if f.metadata["minimum"] is not None]),
    below=st.floats(min_value=1e-3, max_value=1e9) | st.just(math.nan),
)
def test_numbers_below_the_minimum_are_refused(name, below):
    field = next(field for field in settings_lib.fields() if field.name == name)
    value = field.metadata["minimum"] - below
    if isinstance(field.default, int):
        value = field.metadata["minimum"] - 1 if math.isnan(value) else math.floor(value)
    with pytest.raises(UserError, match=f"^--{name}=.* is out of range: expected at least"):
        settings_lib.Settings().replace({name: value})


@pytest.mark.parametrize("field", [f for f in settings_lib.fields() if f.metadata["minimum"] is not None])
def test_numbers_above_the_maximum_are_refused(field):
    """Every number has a maximum, which itself is taken, whatever fits into the machine."""
    most = field.metadata["maximum"]
    for value in (2 * most, 2**63, 10**400 if isinstance(field.default, int) else math.inf):
        with pytest.raises(UserError, match=f"^--{field.name}=.* is out of range: expected at most {most:,}"):
            settings_lib.Settings().replace({field.name: value})
    settings_lib.check_value(field, most)


def test_each_number_of_a_list_has_a_maximum():
    for field in (f for f in settings_lib.fields() if f.type == "tuple[int, ...]"):
        with pytest.raises(UserError, match=f"^--{field.name}=4,9{{30}} is out of range: expected at most"):
            settings_lib.Settings().replace({field.name: (4, 10**30 - 1)})


@_FEW
@given(st.one_of(st.text(max_size=12), st.from_regex(r"[a-z0-9_]{1,10}/[A-Za-z]{0,3}_?[A-Za-z]{0,3}", fullmatch=True)))
def test_task_names_are_known_or_refused(name):
    try:
        resolved = recipes.resolve({"task": name})
    except UserError as error:
        assert "expected" in str(error) or "BENCHMARK/SOURCE_TARGET" in str(error)
    else:
        benchmark, task = (name or settings_lib.DataSettings().task).split("/")
        assert task in BENCHMARKS[benchmark].tasks and resolved.data.task == name


_TASK = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "[]",
        {"task": _TASK},
        {"cluster": {}, "task": _TASK},
        {"cluster": {"worker": []}, "task": _TASK},
        {"cluster": {"worker": "localhost:1"}, "task": _TASK},
        {"cluster": {"worker": ["localhost"]}, "task": _TASK},
        {"cluster": {"worker": ["localhost:99999"]}, "task": _TASK},
        {"cluster": {"worker": ["a:1", "a:1"]}, "task": _TASK},
        {"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}},
        {"cluster": {"worker": ["a:1"]}},
        {"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}},
        {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}},
        {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "0"}},
        {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": True}},
    ],
    ids=json.dumps,
)
def test_a_malformed_tf_config_is_told(config):
    text = config if isinstance(config, str) else json.dumps(config)
    with pytest.raises(UserError) as refused:
        check_tf_config(text)
    said = str(refused.value)
    assert f"cannot use TF_CONFIG: it is {text or 'not set'}. Expected TF_CONFIG to hold JSON" in said


def test_a_malformed_tf_config_is_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("TF_CONFIG", "{")
    message = inprocess.refuse(*inprocess.SMALL, "--strategy=multi_worker", f"--workdir={tmp_path / 'run'}")
    assert "--strategy=multi_worker cannot use TF_CONFIG: it is {. Expected" in message
    assert not (tmp_path / "run").exists()


def test_a_good_tf_config_is_taken():
    config = {"cluster": {"chief": ["a:1"], "worker": ["b:1", "[::1]:2"]}, "task": {"type": "chief", "index": 0}}
    assert check_tf_config(json.dumps(config)) == 3


@_FEW
@given(
    st.recursive(
        st.none() | st.integers(-1, 2) | st.sampled_from(["worker", "chief", "a:1", "type"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["cluster", "task", "worker", "type", "index"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_json_as_tf_config_is_taken_or_refused(config):
    try:
        check_tf_config(json.dumps(config))
    except UserError as error:
        assert "Expected TF_CONFIG" in str(error)


def test_a_command_that_is_asked_to_stop_says_so(capsys):
    from launch import flags

    def main():
        raise KeyboardInterrupt

    assert flags.call(main, ["train"]) == flags.STOPPED == 75
    assert capsys.readouterr().err == "Stopped. The same command goes on from what is on disk.\n"


@pytest.mark.parametrize("kind", [MemoryError, lambda m: tf.errors.ResourceExhaustedError(None, None, m)])
def test_too_little_memory_is_told_in_one_line(kind, capsys):
    from launch import flags

    def main():
        raise kind("OOM when allocating tensor with shape[9,9]\nmore")

    assert flags.call(main, ["train"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("Error: Out of memory (OOM when allocating") and said.count("\n") == 1


def test_a_full_disk_below_what_is_said(capsys, monkeypatch):
    from launch import flags

    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    silenced = []
    monkeypatch.setattr(flags, "_silence", silenced.append)
    with contextlib.redirect_stdout(Full()):
        code = flags.call(lambda: print("x"), ["train"])
    assert code == 74 and silenced == [1], "what could not be written is not tried again"
    assert capsys.readouterr().err.startswith("Error: No space left on the disk: [Errno 28]")


def test_messages_stay_on_one_line_whatever_they_quote(capsys):
    from launch import flags

    def main():
        raise UserError("a\nb\x1b[31m \udcff é")

    assert flags.call(main, ["train"]) == 2
    assert capsys.readouterr().err == "Error: a\\nb\\x1b[31m \\udcff é\n"
