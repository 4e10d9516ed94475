"""No pipeline tunes itself: who drops an iterator of one that does waits for its tuner, up to a minute."""

import glob

import numpy as np
import pytest

from gsda_tf.data.batches import TrainingBatches, evaluation_batches
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.features import FeatureRecords
from gsda_tf.data.records import ArrayRecords
from gsda_tf.settings import DataSettings
from tests.processes import REPOSITORY

_SETTINGS = DataSettings(source_batch=4, target_batch=4, image_size=8, resize_size=8)


def _images() -> DomainData:
    return DomainData("a", ArrayRecords(np.zeros([8, 8, 8, 3], np.uint8), "a"), np.arange(8) % 2)


def _features() -> DomainData:
    return DomainData("a", FeatureRecords(np.zeros([8, 3], np.float32), "a"), np.arange(8) % 2)


@pytest.mark.parametrize("domain", [_images(), _features()], ids=["images", "features"])
def test_batches_are_not_tuned(domain):
    task = TaskData("t", domain, domain, ("x", "y"))
    training = TrainingBatches(task, _SETTINGS, seed=0).dataset(0, 3)
    for dataset in (training, evaluation_batches(domain, _SETTINGS, 4)):
        assert dataset.options().autotune.enabled is False and dataset.options().deterministic is True
        assert sum(1 for _ in dataset) in (2, 3)


def test_nothing_asks_to_be_tuned():
    """But where tuning is off and a graph that is exported leaves the number to its machine."""
    found = []
    for path in glob.glob(f"{REPOSITORY}/gsda_tf/**/*.py", recursive=True):
        with open(path, encoding="utf-8") as file:
            found += [path.removeprefix(f"{REPOSITORY}/gsda_tf/")] * ("tf.data.AUTOTUNE" in file.read())
    assert found == ["serving/module.py"]
