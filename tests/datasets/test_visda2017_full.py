"""VisDA-2017 at its full number of images, tiny ones: time and memory."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import pytest

from gsda_tf.datasets.visda2017 import IMAGE_SET
from tests.datasets import fakes

LIMIT_MB = 300
_PROBE = """
import json, resource, sys, time
import tensorflow as tf
import tensorflow_datasets as tfds
from gsda_tf import recipes
from gsda_tf.datasets import loading
from gsda_tf.data.batches import TrainingBatches
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
tf.constant(0) + 1
before, start = peak(), time.perf_counter()
settings = recipes.resolve({"task": "visda2017/Sy_Re", "manual_dir": sys.argv[1], "data_dir": sys.argv[2]})
data = loading.load(settings.data)
TrainingBatches(data, settings.data, seed=0).plan(0, 1)
print(json.dumps({
    "seconds": time.perf_counter() - start,
    "megabytes": peak() - before,
    "images": [len(data.source), len(data.target)],
    "counts": [[int((d.labels == k).sum()) for k in range(12)] for d in (data.source, data.target)],
}))
"""


def _probe(manual_dir, data_dir, repository):
    result = subprocess.run(
        [sys.executable, "-c", _PROBE, str(manual_dir), str(data_dir)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


def _files(split):
    images = itertools.cycle([fakes.encoded(number) for number in range(50)])
    for name, count in zip(IMAGE_SET.class_names, IMAGE_SET.counts[split]):
        for index in range(count):
            yield f"{split}/{name}/src_1_{index:07d}_3.jpg", next(images)


@pytest.mark.slow
def test_full_count(tmp_path, repository):
    (tmp_path / "manual").mkdir()
    fakes.write_archive(tmp_path / "manual" / "train.tar", _files("train"))
    fakes.write_folder(tmp_path / "manual", _files("validation"))
    first = _probe(tmp_path / "manual", tmp_path / "data", repository)
    again = _probe(tmp_path / "manual", tmp_path / "data", repository)
    without = _probe("", tmp_path / "data", repository)
    for what, measured in (("preparing", first), ("with --manual_dir", again), ("prepared", without)):
        print(f"{what}: {measured['seconds']:.1f} s, {measured['megabytes']:.0f} MB beyond TensorFlow")
        assert measured["images"] == [152_397, 55_388]
        assert measured["counts"] == [list(IMAGE_SET.counts["train"]), list(IMAGE_SET.counts["validation"])]
    assert again["megabytes"] < LIMIT_MB
    assert without["megabytes"] < LIMIT_MB
    assert first["seconds"] < 600
    assert again["seconds"] < 10
    assert without["seconds"] < 10
