"""What docs/architecture.md says of adding: one file each, and no edit elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from tests.processes import REPOSITORY

_ADDED = {
    "methods/gap.py": '''
from gsda_tf.methods.base import Method, setting
import tensorflow as tf

class Gap(Method):
    name, title = "gap", "Gap of the means"

    class Options:
        gap_weight: float = setting(1.0, "weight of the gap", minimum=0)

    def loss(self, b):
        gap = tf.reduce_mean(b.source, axis=0) - tf.reduce_mean(b.target, axis=0)
        return self.classification(b) + self.options.gap_weight * b.share(tf.reduce_sum(gap**2))
''',
    "datasets/halves.py": '''
import numpy as np
from gsda_tf.data.domain import DomainData
from gsda_tf.data.records import ArrayRecords
from gsda_tf.datasets.base import Benchmark

DOMAINS = {"D": "dark", "B": "bright"}

def load(code, settings):
    labels = np.arange(40, dtype=np.int32) % 2
    pixels = np.full([40, 8, 8, 3], {"D": 0, "B": 100}[code], np.uint8)
    pixels[labels == 1, :, 4:] += 99
    return DomainData(DOMAINS[code], ArrayRecords(pixels, DOMAINS[code]), labels)

BENCHMARKS = (Benchmark("halves", "Halves", DOMAINS, ("even", "half"), load),)
''',
    "recipes/halves.py": '''
SETTINGS = {"extractor": "lines", "augmentation": "none", "source_batch": 8, "steps": 9}
TASKS = {"D_B": {"steps": 6}}
''',
    "models/networks/lines.py": '''
import keras

SIZE, PREPROCESSING = 8, "minus_one_to_one"

def build(image_size):
    return keras.Sequential([keras.Input([image_size, image_size, 3]), keras.layers.Flatten()])
''',
    "training/callbacks/tell.py": '''
from gsda_tf.training.callbacks.base import Callback

class Tell(Callback):
    name, period = "tell", 2

    def act(self, step):
        print(f"told at {step}")
''',
}  # fmt: skip


def test_a_method_a_data_set_a_recipe_a_backbone_and_a_callback_are_a_file_each(tmp_path):
    for folder in ("gsda_tf", "launch"):
        shutil.copytree(os.path.join(REPOSITORY, folder), tmp_path / folder)
    for path, code in _ADDED.items():
        assert not (tmp_path / "gsda_tf" / path).exists()
        (tmp_path / "gsda_tf" / path).write_text(code)
    command = [sys.executable, "-m", "launch.train", "--task=halves/D_B", "--method=gap", "--gap_weight=0.5"]
    command += ["--workdir=run", "--noexport", "--noreport"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("told")] == [f"told at {n}" for n in (2, 4, 6)]
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]
    wanted = {
        "extractor": "lines",
        "image_size": 8,
        "weights": "none",
        "steps": 6,
        "target_batch": 36,
        "gap_weight": 0.5,
    }
    assert {name: settings[name] for name in wanted} == wanted
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["method"] == "gap"
