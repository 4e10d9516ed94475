"""`launch.monitor`: an export is asked how far new images are from those that its run saw."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.records import ArrayRecords
from gsda_tf.serving.export import export_experiment
from gsda_tf.training.experiment import Experiment
from tests.faults import inprocess

_SMALL = {"extractor": "small_cnn", "weights": "none", "bottleneck_units": 8, "image_size": 8, "resize_size": 8}


def _images(count, high, seed):
    return np.random.default_rng(seed).integers(0, high, (count, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def exported(quick_check, tmp_path_factory):
    """An export that saw 120 images of noise, and folders of others as bright and of darker ones."""
    folder = tmp_path_factory.mktemp("seen")
    domains = [
        DomainData(name, ArrayRecords(_images(120, 256, seed), name), np.arange(120, dtype=np.int32) % 2)
        for seed, name in enumerate(("shop", "desk"))
    ]
    settings = recipes.written({**_SMALL, "method": "source_only"})
    experiment = Experiment(settings, TaskData("shop/desk", *domains, ("cat", "dog")), tf.distribute.get_strategy())
    for name, high, seed in (("alike", 256, 7), ("dark", 60, 8)):
        (folder / name).mkdir()
        for number, image in enumerate(_images(100, high, seed)):
            (folder / name / f"{number}.png").write_bytes(tf.io.encode_png(image).numpy())
    return folder, export_experiment(experiment, str(folder / "export"), {"step": 0})


def _monitor(exported, images):
    return inprocess.command("monitor", f"--model={exported[1]}", f"--images={exported[0] / images}")


def test_it_is_asked_about_alike_and_other_images(exported):
    (exported[0] / "alike" / "none.png").write_bytes(b"")
    code, said, told = _monitor(exported, "alike")
    assert code == 0 and "100 of 101, 1 more cannot be read; then 120" in said and "adapt again?" in said
    assert "no, these are alike images" in said and "predict --model=" in told
    code, said, told = _monitor(exported, "dark")
    assert "yes, these are other images" in said
    assert f"train --init_from={exported[1]} --target_dir={exported[0] / 'dark'} --method=shot" in told


def test_what_cannot_be_looked_at_is_told(exported, cats_and_dogs, tmp_path):
    assert "--images is missing" in inprocess.command("monitor", f"--model={cats_and_dogs}")[2]
    (exported[0] / "bad").mkdir()
    (exported[0] / "bad" / "one.png").write_bytes(b"")
    assert "None of 1 images of --images=" in _monitor(exported, "bad")[2]
    without = inprocess.command("monitor", f"--model={cats_and_dogs}", f"--images={exported[0] / 'alike'}")[2]
    assert "does not hold what its run saw" in without.splitlines()[-1]
    kept = os.path.join(exported[1], "assets", "seen.json")
    with open(kept, encoding="utf-8") as file:
        told = json.load(file)
    for damage in ({"features": "x"}, {"features": told["features"][:9]}, {"probabilities": [[1e999, 0.0]] * 120}, []):
        with open(kept, "w", encoding="utf-8") as file:
            json.dump({**told, **damage} if damage else damage, file)
        assert "does not hold what its run saw" in _monitor(exported, "alike")[2]
    with open(kept, "w", encoding="utf-8") as file:
        json.dump(told, file)
