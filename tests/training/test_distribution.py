"""One and three replicas, and two workers, train to the same weights.

In float64, where rounding cannot turn a ReLU, a tie or a threshold (`tests/rounding.py`). How far rounding may have
carried two runs apart by their last step is measured: the same run from weights that are a billionth off shows by what
the steps multiply a difference. And the comparison has to fail, by a thousand times, for what it is there to find.
"""

import json
import os

import numpy as np
import pytest

from gsda_tf.errors import UserError
from gsda_tf.runs.checkpoints import newest
from gsda_tf.settings import DataSettings, DeviceSettings
from gsda_tf.training import distribution
from tests import rounding
from tests.processes import Process, clusters, end_together
from tests.training.distributed_run import NUDGE

STEPS = 20
SMALL = {
    "method": "gsda", "num_groups": [2], "beta": 2.0, "adversarial_ramp": 0.0, "pseudo_label_period": 10,
    "confidence_threshold": 0.5, "extractor": "tiny", "bottleneck_units": 16, "discriminator_units": [16],
    "image_size": 8, "resize_size": 8, "augmentation": "none", "source_batch": 12, "target_batch": 12,
    "steps": STEPS, "report_steps": 10, "evaluate_steps": STEPS, "export": False, "report": False,
}  # fmt: skip
MIRRORED = {"strategy": "mirrored", "virtual_devices": 3}
"""Three replicas: with two, a factor of R - 1 or of R / 2 would be one."""
PLAIN = {"method": "mcc", "num_groups": None, "beta": None, "adversarial_ramp": None}
"""A method whose step is soon traced, where the method does not matter; GSDA's options are not its own."""


class Runs:
    """Runs of one process, under way: by name what is changed in their settings."""

    def __init__(self, folder, changes, environment=None):
        self._folder, self._names = str(folder), list(changes)
        given = [{**SMALL, "workdir": os.path.join(self._folder, name), **change} for name, change in changes.items()]
        self.process = Process("tests.training.distributed_run", [json.dumps(given)], environment)

    def end(self) -> None:
        """Waits for the last of them."""
        end_together([self.process])

    def weights(self):
        """What each run ended with: its weights and velocities, and which labels it trusted."""
        self.end()
        return {name: _read(os.path.join(self._folder, name)) for name in self._names}


def _read(workdir):
    reader = newest(str(workdir))[1]
    names = [n for n in reader.get_variable_to_shape_map() if n.endswith("VARIABLE_VALUE")]
    values = {name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"): reader.get_tensor(name) for name in names}
    floats = {n: v for n, v in values.items() if v.dtype.kind == "f" and not n.startswith("loop")}
    assert all(value.dtype == np.float64 for value in floats.values())
    return floats, values["pool/0"]


def assert_same(one, other, growth):
    """Two runs are the same but for the rounding of every step, which later steps multiply."""
    np.testing.assert_array_equal(one[1], other[1])
    assert rounding.distance(one[0], other[0]) < STEPS * growth * rounding.STEP


def assert_others(one, other, growth):
    """Two runs are further apart than rounding takes them, by a thousand times."""
    assert rounding.distance(one[0], other[0]) > 1000 * STEPS * growth * rounding.STEP


@pytest.fixture(scope="session")
def runs(shared):
    """One replica; three; and three with a mistake."""
    folder = shared("distribution", _make_runs)
    return {name: _read(os.path.join(folder, name)) for name in os.listdir(folder) if not name.startswith("features")}


def _make_runs(folder: str) -> None:
    cut = {**PLAIN, "extractor": "tiny_second", "train_from": "second"}
    cut["bottleneck_norm"] = "batch"
    kept = [{**cut, "feature_cache_dir": os.path.join(folder, f"features {i}")} for i in range(2)]
    three = {**MIRRORED, **kept[0]}
    wrong = {**three, "change": "gradients_summed_twice"}
    mirrored = Runs(folder, {"three": MIRRORED, "three cut": three, "twice cut": wrong})
    nudged = {"nudged": {"change": "nudged"}, "nudged cut": kept[1]}
    others = Runs(folder, {"one": {}, "one cut": kept[1], **nudged})
    for made in (mirrored, others):
        made.end()


@pytest.fixture(scope="session")
def growth(runs):
    """By how much 20 steps multiply a difference."""
    found = rounding.distance(runs["one"][0], runs["nudged"][0]) / NUDGE
    assert 0.1 < found < 1e4
    return found


def test_the_pool_is_neither_empty_nor_full(runs):
    pool = runs["one"][1]
    assert 0 < (pool >= 0).sum() < len(pool)


def test_three_replicas_train_as_one(runs, growth):
    assert_same(runs["one"], runs["three"], growth)


def test_three_replicas_train_the_rest_of_a_backbone_as_one_and_a_mistake_is_seen(runs):
    """They compute what is kept together, too; a change to the code is for good, so "nudged cut" is nudged.

    Gradients are summed twice; the other mistake, |S - sum S| of each replica, is in `tests/methods/replicas.py`.
    """
    growth = rounding.distance(runs["one cut"][0], runs["nudged cut"][0]) / NUDGE
    assert 0.1 < growth < 1e4
    assert_same(runs["one cut"], runs["three cut"], growth)
    assert_others(runs["one cut"], runs["twice cut"], growth)


def test_two_workers_train_as_one(runs, growth, tmp_path):
    workers = [Runs(tmp_path, {"both": {"strategy": "multi_worker"}}, environment) for environment in clusters(2)]
    end_together([worker.process for worker in workers])
    found = [worker.weights() for worker in workers]
    assert_same(runs["one"], found[0]["both"], growth)


def test_batches_that_do_not_divide_are_refused():
    class Three:
        num_replicas_in_sync = 3

    with pytest.raises(UserError, match=r"--source_batch=64 does not divide evenly over 3 devices: .* such as 66"):
        distribution.check_batches(DataSettings(source_batch=64), Three())


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(UserError, match="--num_devices=99, but there are 3"):
        distribution.build_strategy(DeviceSettings(strategy="mirrored", num_devices=99))
