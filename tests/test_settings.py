"""Each setting says all of itself; and one conversion takes what people hand in as it is meant, or refuses it."""

import dataclasses
import pathlib

import numpy as np
import pytest

from gsda_tf import methods, settings
from gsda_tf.errors import UserError
from gsda_tf.settings import DataSettings, RunSettings, Settings, convert, converted, setting

_FIELDS = {field.name: field for field in (*settings.fields(), *methods.all_options().values())}
_MACHINE = {
    "data_dir", "manual_dir", "trust_extractor", "feature_cache_dir", "strategy", "num_devices",
    "virtual_devices", "workdir", "init_from", "overwrite", "checkpoint_steps", "checkpoint_seconds",
    "keep_checkpoints", "export", "report", "download",
    "evaluation_batch",
}  # fmt: skip


@pytest.mark.parametrize("name", _FIELDS)
def test_a_setting_declares_all_of_itself(name):
    field, told = _FIELDS[name], _FIELDS[name].metadata
    assert told["help"] and set(told) == {*setting.__kwdefaults__, *settings.MARKS, "help"}
    assert convert(field, field.default) == field.default, "the default is a value of it"
    numbers = isinstance(field.default, (int, float)) and not isinstance(field.default, bool)
    assert numbers or told["minimum"] is None
    assert not numbers or told["minimum"] is not None or told["maximum"] < 10**9, "a number has a range"
    assert set(told["needs"]) | set(told["excludes"]) <= set(_FIELDS)
    for other, values in told["needs"].items():
        assert all(convert(_FIELDS[other], value) == value for value in values)
    assert not told["path"] or isinstance(field.default, str)
    if name.endswith(("_dir", "_list", "_file", "_root")):
        assert told["path"], "it is called as a place is"


def test_what_is_of_this_machine_is_no_part_of_a_run():
    """The list itself: whoever adds a setting has to say on which side it stands."""
    assert {field.name for field in settings.fields() if not field.metadata["foreign"]} == _MACHINE
    assert set(methods.all_options()) & _MACHINE == set()
    assert _MACHINE - {"init_from"} <= set(settings.names("may_change"))


def test_a_setting_that_may_change_computes_nothing():
    places = {
        "source_dir", "target_dir", "source_list", "target_list", "image_root", "source_root", "target_root", "source",
        "target", "target_labels",
    }  # fmt: skip
    assert set(settings.names("may_change")) == (_MACHINE - {"init_from"}) | places
    assert settings.may_change("source", "/a/x.npz", "b.npz")
    assert not settings.may_change("source", "/a/x.npz", "mnist") and not settings.may_change("beta", 1, 2)


@pytest.mark.parametrize(
    "name, given, meant",
    [
        ("steps", "10", 10),
        ("steps", 10.0, 10),
        ("steps", np.int64(10), 10),
        ("steps", np.float32(10), 10),
        ("learning_rate", 1, 1.0),
        ("learning_rate", "1e-3", 1e-3),
        ("learning_rate", np.float64(0.5), 0.5),
        ("report", "no", False),
        ("report", "false", False),
        ("report", "0", False),
        ("report", 0, False),
        ("report", np.bool_(False), False),
        ("report", "Yes", True),
        ("num_groups", 3, (3,)),
        ("num_groups", "20,5", (20, 5)),
        ("num_groups", [20, np.int32(5)], (20, 5)),
        ("num_groups", np.asarray([20, 5]), (20, 5)),
        ("num_groups", "", ()),
        ("discriminator_units", 64, (64,)),
        ("add", "mcc", ("mcc",)),
        ("add", "mcc,bnm", ("mcc", "bnm")),
        ("add", ["mcc"], ("mcc",)),
        ("source_dir", pathlib.Path("/a/b/../c"), "/a/c"),
        ("workdir", pathlib.Path("runs/mine"), "runs/mine"),
        ("data_dir", "gs://bucket/x", "gs://bucket/x"),
    ],
)
def test_what_is_handed_in_is_taken_as_meant(name, given, meant):
    made = convert(_FIELDS[name], given)
    assert made == meant and type(made) is type(meant)
    assert not isinstance(made, tuple) or all(type(part) is type(meant[0]) for part in made)


@pytest.mark.parametrize(
    "name, given, said",
    [
        ("steps", "ten", "--steps=ten: expected a whole number"),
        ("steps", "1e3", "--steps=1e3: expected a whole number"),
        ("steps", 10.5, "--steps=10.5: expected a whole number"),
        ("steps", True, "--steps=True: expected a whole number"),
        ("steps", [10], r"--steps=\[10\]: expected a whole number"),
        ("steps", float("inf"), "--steps=inf: expected a whole number"),
        ("learning_rate", "fast", "--learning_rate=fast: expected a number"),
        ("learning_rate", float("nan"), "--learning_rate=nan is out of range"),
        ("report", "maybe", "--report=maybe: expected yes or no"),
        ("report", 2, "--report=2: expected yes or no"),
        ("num_groups", "a,b", "--num_groups=a,b: expected whole numbers with commas between"),
        ("num_groups", {"a": 1}, "--num_groups={'a': 1}: expected whole numbers"),
        ("source_dir", 3, "--source_dir=3: expected text"),
        ("source_dir", b"x", "--source_dir=b'x': expected text"),
        ("augmentation", "stron", "Unknown --augmentation 'stron': .* Did you mean 'strong'"),
        ("target_dir", ["x" * 1000], "--target_dir=.{100}: expected text"),
    ],
)
def test_another_kind_is_refused_in_a_sentence_that_names_the_setting(name, given, said):
    with pytest.raises(UserError, match=said):
        convert(_FIELDS[name], given)
    with pytest.raises(UserError, match=said):
        Settings(options=methods.options_of("gsda")).replace({name: given})


def test_none_is_not_given_and_a_name_that_is_none_is_told():
    assert converted({"seed": None, "steps": 3}, settings.fields()) == {"steps": 3}
    with pytest.raises(UserError, match=r"Unknown setting 'stepz': .* Did you mean 'steps'"):
        converted({"stepz": 3}, settings.fields())


def test_paths_are_absolute_and_what_is_none_stays(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    words = {
        "weights": "imagenet",
        "extractor": "resnet50",
        "method": "gsda",
        "source": "mnist/x:train",
        "data_dir": "s3://b/x",
    }
    assert converted(words, _FIELDS.values()) == words
    paths = {
        "source_dir": "~/x/", "data_dir": "../d", "extractor": "m.keras", "method": "m.py:Mine", "source": "a.npz",
        "groups_file": "g.json", "workdir": "~/run",
    }  # fmt: skip
    expected = {
        "source_dir": "/home/me/x", "data_dir": str(tmp_path.parent / "d"), "extractor": str(tmp_path / "m.keras"),
        "method": str(tmp_path / "m.py:Mine"), "source": str(tmp_path / "a.npz"),
        "groups_file": str(tmp_path / "g.json"), "workdir": "/home/me/run",
    }  # fmt: skip
    made = converted(paths, _FIELDS.values())
    assert made == expected
    monkeypatch.chdir("/")
    assert converted(made, _FIELDS.values()) == expected, "wherever the process goes"


def test_a_users_own_option_may_be_declared_with_types_themselves():
    @dataclasses.dataclass(frozen=True)
    class Options:
        weight: float = setting(1, "weight", minimum=0)
        sizes: tuple = setting((3,), "sizes")

    weight, sizes = dataclasses.fields(Options)
    weight.type, sizes.type = float, "tuple[int, ...]"  # as without `from __future__ import annotations`
    assert convert(weight, "0.5") == 0.5 and convert(sizes, 4) == (4,)


def test_a_flag_is_written_as_a_command_takes_it():
    assert settings.flag("freeze_backbone", False) == "--nofreeze_backbone"
    assert settings.flag("discriminator_units", (256, 64)) == "--discriminator_units=256,64"


def test_what_a_word_or_a_place_decides_is_said_where_it_stands():
    assert settings.names("network") == (
        "image_size", "resize_size", "extractor", "preprocessing", "freeze_backbone", "train_from", "bottleneck_units",
        "bottleneck_norm",
    )  # fmt: skip
    assert settings.names("swept") == ("task", "method", "add", "workdir", "seed")
    assert {"seed", "steps", "extractor", "weights", "image_size"} <= set(settings.names("compared"))
    assert DataSettings().task and not RunSettings().workdir
