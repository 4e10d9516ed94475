"""150,000 image files of one's own: what they cost in memory before the first batch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.data.pictures import encoded

FILES = 75_000  # in each domain
CLASSES = 12
LIMIT_MB = 300
_PROBE = """
import json, resource, sys, time
import tensorflow as tf
import gsda_tf.training.run
from gsda_tf import recipes
from gsda_tf.datasets import loading
from gsda_tf.data.batches import TrainingBatches
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
sum(tf.data.Dataset.range(2).as_numpy_iterator())
before, start = peak(), time.perf_counter()
settings = recipes.resolve({**json.loads(sys.argv[1]), "image_size": 8, "resize_size": 8, "weights": "none"})
data = loading.load(settings.data)
TrainingBatches(data, settings.data, seed=0).plan(0, 1)
print(json.dumps({
    "seconds": time.perf_counter() - start,
    "megabytes": peak() - before,
    "images": [len(data.source), len(data.target)],
    "classes": [sorted(set(d.labels.tolist())) for d in (data.source, data.target)],
}))
"""


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Two folders, and a list of each."""
    root = tmp_path_factory.mktemp("photos")
    image = encoded("PNG")
    for domain in ("source", "target"):
        for k in range(CLASSES):
            (root / domain / f"class_{k:02}").mkdir(parents=True)
        names = [f"{domain}/class_{i % CLASSES:02}/one_image_of_many_{i:07}.png" for i in range(FILES)]
        for name in names:
            (root / name).write_bytes(image)
        (root / f"{domain}.txt").write_text("".join(f"{name} {i % CLASSES}\n" for i, name in enumerate(names)))
    return root


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", ["folders", "lists"])
def test_memory_before_the_first_batch(photos, pipeline, repository):
    kind, suffix = ("dir", "") if pipeline == "folders" else ("list", ".txt")
    given = {"pipeline": pipeline, **{f"{d}_{kind}": str(photos / f"{d}{suffix}") for d in ("source", "target")}}
    result = subprocess.run(
        [sys.executable, "-c", _PROBE, json.dumps(given)], cwd=repository, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    measured = json.loads(result.stdout.splitlines()[-1])
    print(f"{pipeline}: {measured['seconds']:.1f} s, {measured['megabytes']:.0f} MB beyond TensorFlow")
    assert measured["images"] == [FILES, FILES]
    assert measured["classes"] == [list(range(CLASSES))] * 2
    assert measured["megabytes"] < LIMIT_MB
