"""Benchmarks by name: tasks, the paper's settings, and data from made-up copies in the official layouts."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from gsda_tf import methods, recipes
from gsda_tf.datasets import BENCHMARKS, get_benchmark, loading
from gsda_tf.datasets.office31 import CALTECH_CLASSES, IMAGE_SET
from gsda_tf.datasets.office31.office31_dataset_builder import Builder as Office31
from gsda_tf.datasets.visda2017 import IMAGE_SET as VISDA
from gsda_tf.datasets.visda2017.visda2017_dataset_builder import Builder as Visda2017
from gsda_tf.errors import UserError
from gsda_tf.recipes.layers import recipe_of
from gsda_tf.settings import DataSettings, Settings
from tests.datasets import fakes


def _pairs(codes):
    return {f"{a}_{b}" for a, b in itertools.permutations(codes, 2)}


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("office31", _pairs("AWD")),
        ("office31_partial", _pairs("AWD")),
        ("office31_open", _pairs("AWD")),
        ("office_home", _pairs(["Ar", "Cl", "Pr", "Rw"])),
        ("visda2017", {"Sy_Re"}),
        ("domainnet", _pairs(["Cl", "In", "Pa", "Qu", "Re", "Sk"])),
        ("digits", _pairs(["Mn", "Us", "Sv", "Fo", "Ha"])),
    ],
)
def test_tasks(name, names):
    assert set(get_benchmark(name).tasks) == names


@pytest.mark.parametrize(
    ("task", "alpha", "beta", "groups"),
    [
        ("office31/A_W", 0.02, 1.0, (6,)),
        ("office31_partial/A_W", 0.2, 10.0, (6,)),
        ("office_home/Ar_Cl", 0.02, 1.0, (13,)),
        ("visda2017/Sy_Re", 0.2, 10.0, (4,)),
    ],
)
def test_settings_of_the_paper(task, alpha, beta, groups):
    settings = recipes.resolve({"task": task, "recipe": "paper"})
    assert (settings.options.alpha, settings.options.beta, settings.options.num_groups) == (alpha, beta, groups)
    assert settings.model.extractor == "resnet50"
    assert (settings.data.image_size, settings.data.resize_size) == (224, 256)
    assert settings.optimization.steps in (20_000, 30_000)
    assert recipes.resolve({"task": task, "alpha": 0.5}).options.alpha == 0.5


def test_every_task_has_valid_settings():
    known = {*Settings().flat(), *methods.all_options()}
    for benchmark in BENCHMARKS.values():
        recipe = recipe_of(benchmark.name)
        tables = [getattr(recipe, name, {}) for name in ("SETTINGS", "FROZEN", "TRAINED")]
        of_tasks = getattr(recipe, "TASKS", {})
        assert set(of_tasks) <= set(benchmark.tasks)
        for values in (*tables, *of_tasks.values()):
            assert set(values) <= known
        for name in benchmark.tasks:
            recipes.resolve({"task": f"{benchmark.name}/{name}"})


def test_image_size_of_digits():
    names = get_benchmark("digits").tasks
    sizes = {name: recipes.resolve({"task": f"digits/{name}"}).data.image_size for name in names}
    assert {name for name, size in sizes.items() if size == 8} == {"Fo_Ha", "Ha_Fo"}
    assert set(sizes.values()) == {8, 32}


def test_only_visda_is_scored_by_the_mean_over_classes():
    assert {b.name for b in BENCHMARKS.values() if b.score == "mean_class_accuracy"} == {"visda2017"}


def test_domainnet_has_345_classes():
    names = get_benchmark("domainnet").class_names
    assert len(set(names)) == 345
    assert {"aircraft_carrier", "The_Eiffel_Tower", "zigzag"} <= set(names)


@pytest.mark.parametrize("task", ["office31/A_A", "office31/A_X", "visda2017/Re_Sy", "office32/A_W"])
def test_unknown_task(task):
    with pytest.raises(UserError, match="Unknown"):
        recipes.resolve({"task": task})


@pytest.fixture
def office31(tmp_path, monkeypatch) -> DataSettings:
    """A small Office-31 in the official layout lies in the manual folder."""
    image_set = fakes.small(IMAGE_SET, images=3)
    monkeypatch.setattr(Office31, "IMAGE_SET", image_set)
    folders = {split: f"domain_adaptation_images/{split}/images" for split in IMAGE_SET.domains}
    (tmp_path / "manual").mkdir()
    fakes.write_archive(tmp_path / "manual" / "office.zip", fakes.members(image_set, folders))
    return DataSettings(manual_dir=str(tmp_path / "manual"), data_dir=str(tmp_path / "data"))


def test_office31(office31):
    data = get_benchmark("office31").task("W_D", office31)
    assert (data.name, data.source.name, data.target.name) == ("office31/W_D", "webcam", "dslr")
    assert data.class_names == IMAGE_SET.class_names
    for domain in (data.source, data.target):
        np.testing.assert_array_equal(np.bincount(domain.labels), [1 + k % 3 for k in range(31)])
    assert not data.partial


def test_office31_open(office31):
    settings = recipes.resolve({"task": "office31_open/W_A", "freeze_backbone": True}).data
    data = loading.index(dataclasses.replace(settings, data_dir=office31.data_dir, manual_dir=office31.manual_dir))
    assert data.class_names == (*sorted(CALTECH_CLASSES), "unknown") and data.score == "hos" and not data.partial
    names = IMAGE_SET.class_names
    assert len(data.source) == sum(1 + names.index(name) % 3 for name in CALTECH_CLASSES)
    others = ("pen", "phone", "printer", "punchers", "ring_binder", "ruler", "scissors", "speaker", "stapler")
    others += ("tape_dispenser", "trash_can")
    assert (data.target.labels == 10).sum() == sum(1 + names.index(name) % 3 for name in others)


def test_office31_partial(office31):
    whole = get_benchmark("office31").task("W_A", office31)
    data = get_benchmark("office31_partial").task("W_A", office31)
    assert data.partial
    assert len(np.unique(data.source.labels)) == 31
    assert {data.class_names[k] for k in data.target_classes} == set(CALTECH_CLASSES)
    kept = np.flatnonzero([whole.class_names[k] in CALTECH_CLASSES for k in whole.target.labels])
    np.testing.assert_array_equal(data.target.labels, whole.target.labels[kept])
    for index, original in enumerate(kept):
        assert data.target.records.load(index).numpy() == whole.target.records.load(int(original)).numpy()
    assert data.target.records.name(1) == whole.target.records.name(int(kept[1]))


def test_visda2017(tmp_path, monkeypatch):
    image_set = fakes.small(VISDA, images=4)
    monkeypatch.setattr(Visda2017, "IMAGE_SET", image_set)
    folders = {split: split for split in VISDA.domains}
    files = list(fakes.members(image_set, folders))
    (tmp_path / "manual").mkdir()
    for split in VISDA.domains:
        fakes.write_archive(tmp_path / "manual" / f"{split}.tar", [f for f in files if f[0].startswith(split + "/")])
    data = get_benchmark("visda2017").task(
        "Sy_Re", DataSettings(manual_dir=str(tmp_path / "manual"), data_dir=str(tmp_path / "data"))
    )
    assert (data.source.name, data.target.name, data.score) == ("synthetic", "real", "mean_class_accuracy")
    expected = [content for path, content in files if path.startswith("validation/")]
    assert [data.target.records.load(i).numpy() for i in range(len(expected))] == expected
