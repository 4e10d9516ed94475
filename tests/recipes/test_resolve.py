"""Defaults follow from what was given, from the backbone and from the machine; what was given stays."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import methods, recipes
from gsda_tf.datasets import BENCHMARKS
from gsda_tf.errors import UserError
from gsda_tf.methods.gsda.hierarchy import build_hierarchy, default_groups
from gsda_tf.recipes.layers import recipe_of

_OWN = {"source_dir": "a", "target_dir": "b"}
_TRAINED = "a pretrained backbone is trained"


def _resolved(**given):
    return recipes.resolve(given).flat()


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one"])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_what_a_benchmark_prescribes_stays(name):
    for task in BENCHMARKS[name].tasks:
        resolved = _resolved(task=f"{name}/{task}")
        recipe = recipe_of(name)
        settings, of_task, trained = (getattr(recipe, name, {}) for name in ("SETTINGS", "TASKS", "TRAINED"))
        wanted = {**settings, **of_task.get(task, {}), **trained}
        assert all(resolved[key] == value for key, value in wanted.items())
        said = set(re.findall(r"\((.*?)\)", recipes.reasoned({"task": f"{name}/{task}"})[1]))
        short = f"the run has {resolved['steps']:,} steps"  # as a benchmark may well say
        assert said - {short} == (set() if resolved["weights"] == "none" else {_TRAINED})


@pytest.mark.parametrize("size, resized", [(16, 18), (128, 146), (224, 256), (512, 585), (4096, 4096)])
def test_resizing_keeps_its_ratio_to_the_image(size, resized):
    assert _resolved(task="office31/A_W", image_size=size)["resize_size"] == resized
    assert _resolved(**_OWN, image_size=size)["resize_size"] == resized
    assert _resolved(task="digits/Fo_Ha", image_size=size)["resize_size"] == size
    assert _resolved(**_OWN, image_size=16, resize_size=64)["resize_size"] == 64


def test_periods_fit_into_the_run():
    short = _resolved(**_OWN, steps=300)
    assert (short["pseudo_label_period"], short["evaluate_steps"], short["report_steps"]) == (75, 75, 30)
    given = _resolved(**_OWN, steps=300, pseudo_label_period=500, evaluate_steps=400, report_steps=299)
    assert (given["pseudo_label_period"], given["evaluate_steps"], given["report_steps"]) == (500, 400, 299)
    one = _resolved(**_OWN, steps=1)
    assert (one["pseudo_label_period"], one["evaluate_steps"], one["report_steps"]) == (1, 1, 1)
    assert _resolved(**_OWN, steps=300, method="source_only")["pseudo_label_period"] == 0
    long = _resolved(**_OWN, steps=20_000)
    assert (long["pseudo_label_period"], long["evaluate_steps"], long["report_steps"]) == (500, 500, 50)


def test_batches_go_together():
    assert _resolved(**_OWN, source_batch=8)["target_batch"] == 8
    both = _resolved(task="digits/Fo_Ha", source_batch=8, target_batch=4)
    assert (both["source_batch"], both["target_batch"]) == (8, 4)
    assert _resolved(**_OWN, target_batch=8)["source_batch"] == 36


def test_own_images_on_a_frozen_backbone_have_a_method_of_their_own_unless_one_is_spoken_of():
    assert _resolved(**_OWN)["method"] == "spl" and "--method=spl (best" in recipes.reasoned(_OWN)[1]
    assert _resolved(**_OWN, target_labels="labels.csv")["method"] == "spl"
    others = (
        {"freeze_backbone": False},
        {"method": "gsda"},
        {"beta": 1.0},
        {"add": ("mcc",)},
        {"recipe": "paper"},
        {"steps": 9},
    )
    for given in others:
        assert _resolved(**_OWN, **given)["method"] == "gsda", given
    assert _resolved(task="office31/A_W", freeze_backbone=True)["method"] == "gsda"


def test_without_a_gpu_the_backbone_is_frozen_unless_it_is_said_otherwise():
    frozen = _resolved(**_OWN)
    assert frozen["freeze_backbone"] and frozen["discriminator_units"] == (256, 256) and frozen["steps"] == 2000
    whole = _resolved(**_OWN, freeze_backbone=False)
    assert not whole["freeze_backbone"] and whole["steps"] == 20_000
    assert not _resolved(**_OWN, weights="none")["freeze_backbone"], "nothing that was learnt"
    assert not _resolved(task="office31/A_W")["freeze_backbone"], "as published"
    given = _resolved(**_OWN, steps=7, discriminator_units=(9,))
    assert (given["steps"], given["discriminator_units"]) == (7, (9,))
    said = recipes.reasoned(_OWN)[1]
    assert "--freeze_backbone (there is no GPU" in said and "--steps=2000 (the backbone is frozen)" in said


def test_with_a_gpu_the_backbone_is_trained(gpu):
    trained = _resolved(**_OWN)
    assert not trained["freeze_backbone"] and trained["discriminator_units"] == (1024, 1024)
    assert recipes.reasoned(_OWN)[1] == f"--bottleneck_units=1024, --alpha=0.1 ({_TRAINED})"


def test_an_extractor_brings_its_own_size_and_needs(tmp_path):
    small = _resolved(**_OWN, extractor="small_cnn")
    assert (small["image_size"], small["weights"], small["backbone_rate"], small["steps"]) == (32, "none", 1.0, 3000)
    assert _resolved(**_OWN, extractor="xception")["image_size"] == 299
    assert _resolved(task="office31/A_W", extractor="xception")["resize_size"] == 342
    assert _resolved(**_OWN, extractor="mobilenet_0.75")["image_size"] == 224
    assert _resolved(**_OWN, extractor="xception", image_size=96)["image_size"] == 96
    import keras

    layers = [keras.Input([24, 24, 3]), keras.layers.Conv2D(2, 3)]
    keras.Sequential(layers).save(tmp_path / "mine.keras")
    mine = _resolved(**_OWN, extractor=str(tmp_path / "mine.keras"))
    assert (mine["image_size"], mine["resize_size"]) == (24, 27)


@pytest.mark.parametrize("classes", range(2, 13))
def test_groups_suit_any_number_of_classes(classes):
    hierarchy = build_hierarchy(classes, (), ("domain", "group", "class"), seed=0)
    sizes = [level.size for level in hierarchy.levels]
    assert sizes == sorted(set(sizes)), "no level repeats another"
    assert default_groups(31) == (6,) and default_groups(65) == (13,), "as the paper chose"


def test_the_table_of_sizes_is_that_of_keras():
    """Of those whose default differs from 224, by what their constructors build on."""
    import inspect

    from gsda_tf.models import backbones

    for name, size in (("inceptionv3", 299), ("efficientnetb0", 224), ("nasnetlarge", 331), ("small_cnn", 32)):
        assert backbones.own_size(name) == size
    names = backbones.application_names()
    for name in backbones._SIZES:
        if name.startswith("efficientnetv2"):
            assert f"default_size={backbones._SIZES[name]}" in inspect.getsource(names[name][0]).replace(" ", "")
        elif name not in backbones.OWN:
            assert str(backbones._SIZES[name]) in inspect.getsource(names[name][0])


def test_the_recipe_of_the_paper():
    ours, paper = (_resolved(task="office31/A_W", recipe=recipe) for recipe in ("default", "paper"))
    changed = {name: value for name, value in paper.items() if value != ours[name]}
    assert changed == {
        "recipe": "paper", "bottleneck_norm": "none", "confidence_threshold": 0.9, "discriminator_rate": 1.0,
        "adversarial_weight": 3.0, "bottleneck_units": 256, "alpha": 0.02,
    }  # fmt: skip
    assert "--recipe=paper)" in recipes.reasoned({"task": "office31/A_W", "recipe": "paper"})[1]
    given = _resolved(task="office31/A_W", recipe="paper", confidence_threshold=0.3, adversarial_weight=1.0)
    assert (given["confidence_threshold"], given["adversarial_weight"], given["bottleneck_norm"]) == (0.3, 1.0, "none")


@pytest.mark.parametrize(
    "given, levels", [({"method": "domain"}, 1), ({"method": "domain_class"}, 2), ({"num_groups": (2, 4)}, 4)]
)
def test_equation_16_adds_up_the_levels(given, levels):
    resolved = _resolved(**_OWN, recipe="paper", **given)
    names = methods.get_method(resolved["method"]).levels
    hierarchy = build_hierarchy(5, resolved.get("num_groups", ()), names, 0)
    assert resolved["adversarial_weight"] == levels == len(hierarchy.levels)


def test_a_methods_own_rate_of_its_adversaries_stands_back_behind_a_given_one():
    rates = {name: methods.get_method(name).discriminator_rate for name in methods.method_names()}
    assert rates["gsda"] is rates["dann"] is None and rates["cdan"] == rates["bsp"] == 1.0
    for name, rate in rates.items():
        own = _resolved(**_OWN, method=name)["discriminator_rate"]
        assert own == (3.0 if rate is None else rate)
        assert _resolved(**_OWN, method=name, discriminator_rate=2.0)["discriminator_rate"] == 2.0


def test_the_recipe_is_for_methods_without_levels_too():
    assert _resolved(**_OWN, recipe="paper", method="mcc")["bottleneck_norm"] == "none"


@pytest.mark.parametrize("method", methods.method_names())
def test_the_regime_of_the_backbone_decides_where_nothing_is_given(method):
    kind = methods.get_method(method)
    whole = _resolved(**_OWN, method=method, weights="none")
    assert whole["bottleneck_units"] == 256 and whole.get("alpha", 0.02) == 0.02
    regimes = [("frozen", {"freeze_backbone": True}, 256)]
    if kind.phases:  # what is fitted trains no backbone
        regimes += [("trained", {"train_from": "last"}, 1024), ("trained", {"freeze_backbone": False}, 1024)]
    for regime, given, width in regimes:
        expected = {"bottleneck_units": width, **kind.regimes.get(regime, {})}
        resolved = _resolved(**_OWN, method=method, **given)
        assert {name: resolved[name] for name in expected} == expected
        told = {name: "none" if isinstance(value, str) else 7 for name, value in expected.items()}
        resolved = _resolved(**_OWN, method=method, **given, **told)
        assert {name: resolved[name] for name in told} == told
    assert set(kind.regimes) <= {"frozen", "trained", "many_classes"}


def test_a_term_brings_what_it_wants_of_a_regime():
    for add, width in ((("mcc",), 1024), (("bnm", "mcc"), 1024), (("bnm",), 256)):
        assert _resolved(**_OWN, add=add)["bottleneck_units"] == width
    said = recipes.reasoned({**_OWN, "add": ("mcc",)})[1]
    assert "--bottleneck_units=1024 (gsda+mcc on a frozen backbone)" in said
    assert _resolved(**_OWN, add=("mcc",), train_from="last")["alpha"] == 0, "MCC takes the entropy's place"


def test_a_benchmark_that_differs_from_the_plain_default_stands_above_the_regime():
    digits = _resolved(task="digits/Fo_Ha", add=("mcc",), freeze_backbone=True)
    assert digits["bottleneck_units"] == 128
    for task, alpha in (("office31/A_W", 0.1), ("visda2017/Sy_Re", 0.2)):
        assert _resolved(task=task, train_from="last")["alpha"] == alpha
    paper = _resolved(task="office31/A_W", train_from="last", recipe="paper")
    assert (paper["alpha"], paper["bottleneck_units"]) == (0.02, 256)


def test_a_benchmark_has_regimes_of_its_own():
    partial, trained = {"task": "office31_partial/A_W"}, {"train_from": "last"}

    def entropy(**given):
        resolved = _resolved(**partial, **given)
        return resolved["alpha"], resolved["alpha_ramp"]

    assert entropy(freeze_backbone=True) == entropy(recipe="paper") == entropy(recipe="paper", **trained) == (0.2, 40)
    assert entropy() == entropy(**trained) == entropy(method="domain", **trained) == (0.1, 10)
    assert entropy(alpha=0.3, **trained) == (0.3, 10)
    assert entropy(add=("mcc",), **trained) == (0, 10), "MCC takes the entropy's place"
    assert "alpha" not in _resolved(**partial, method="mcc", **trained)
    assert "--alpha=0.1, --alpha_ramp=10.0" in recipes.reasoned({**partial, **trained})[1]


def test_a_regime_of_a_users_method_that_names_no_setting_is_told(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from gsda_tf.methods.base import Method\n\n\nclass Mine(Method):\n    name, title = 'mine', 'Mine'\n"
        "    regimes = {'frozen': {'alpa': 1}}\n"
    )
    with pytest.raises(UserError, match="alpa"):
        _resolved(**_OWN, method=f"{path}:Mine", freeze_backbone=True)


def test_a_method_that_was_below_source_only_says_so_where_it_was():
    data = SimpleNamespace(source=range(99), target=range(99), known=("a", "b"))
    said = {
        name: recipes.remarks(recipes.resolve({**given, "method": name}), data)
        for name, given in (("gfk", {"task": "digits/Fo_Ha"}), ("mcc", {"task": "digits/Fo_Ha"}))
    }
    assert (
        said["gfk"][-1].startswith("--method=gfk was below --method=source_only here: it works on") and not said["mcc"]
    )
    frozen = recipes.resolve({"method": "tca", "task": "office31/A_W", "freeze_backbone": True})
    assert not recipes.remarks(frozen, data)


def test_a_period_longer_than_the_run_is_said():
    data = SimpleNamespace(source=range(999), target=range(999), known=("a", "b"))
    given = {"task": "digits/Fo_Ha", "method": "mcc", "steps": 300}
    said = "--evaluate_steps=500 is longer than the run of 300 steps."
    assert recipes.remarks(recipes.resolve({**given, "evaluate_steps": 500}), data) == [said]
    assert recipes.remarks(recipes.resolve(given), data) == []


def test_many_classes_have_narrow_critics_unless_the_user_or_one_critic_says_otherwise(tmp_path):
    for i in range(500):
        (tmp_path / "source" / str(i)).mkdir(parents=True)
    given = {"source_dir": str(tmp_path / "source"), "target_dir": "b", "freeze_backbone": True}
    for method, units in (("gsda", (64,)), ("mada", (64,)), ("domain", (256, 256)), ("dann", (256, 256))):
        assert _resolved(**given, method=method)["discriminator_units"] == units
    assert (
        "--discriminator_units=64 (500 classes have a critic each)" in recipes.reasoned({**given, "method": "gsda"})[1]
    )
    assert _resolved(**given, discriminator_units=(32,))["discriminator_units"] == (32,)
    (tmp_path / "source" / "0").rmdir()
    assert _resolved(**given, method="gsda")["discriminator_units"] == (256, 256)


@pytest.mark.parametrize("count, units", [(499, (256, 256)), (500, (64,))])
def test_classes_of_arrays_are_counted(tmp_path, count, units):
    np.savez(tmp_path / "a.npz", features=np.zeros((count, 2), np.float32), labels=np.arange(count))
    path = str(tmp_path / "a.npz")
    assert _resolved(source=path, target=path, method="gsda")["discriminator_units"] == units


@pytest.mark.parametrize("count, units", [(499, (256, 256)), (500, (64,))])
def test_classes_of_lists_are_counted(tmp_path, count, units):
    path = tmp_path / "source.txt"
    path.write_text("".join(f"{i}.png {i % count}\n" for i in range(2 * count)))
    given = {"source_list": str(path), "target_list": "b.txt", "freeze_backbone": True}
    assert _resolved(**given, method="gsda")["discriminator_units"] == units
    assert _resolved(**{**given, "source_list": "none.txt"}, method="gsda")["discriminator_units"] == (256, 256)
