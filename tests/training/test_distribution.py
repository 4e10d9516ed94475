"""One, two and three replicas, and two workers, train to the same weights."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.errors import UserError
from gsda_tf.settings import DataSettings, DeviceSettings
from gsda_tf.training import distribution
from tests.processes import Process, clusters

# A small rate keeps rounding small: one unit in the last place of the first weights may become 1e-4 by step 10.
# With seed 0 one target image is so near the threshold, or a tie of two classes, that rounding decides its label.
SMALL = {
    "task": "digits/Fo_Ha", "seed": 1, "steps": 20, "learning_rate": 0.002, "source_batch": 12, "target_batch": 12,
    "discriminator_units": [16], "bottleneck_units": 16, "report_steps": 10, "evaluate_steps": 20,
    "pseudo_label_period": 10, "confidence_threshold": 0.2, "beta": 2.0, "adversarial_ramp": 0.0,
    "adversarial_weight": 0.5, "export": False, "report": False,
}  # fmt: skip


def _start(workdir, changes, environment=None):
    arguments = json.dumps({**SMALL, "workdir": str(workdir), **changes})
    return Process("tests.training.distributed_run", [arguments], environment)


def _weights(workdir):
    path = tf.train.latest_checkpoint(os.path.join(workdir, "checkpoints"))
    reader = tf.train.load_checkpoint(path)
    return {
        n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map() if "SAVE" not in n and "save_c" not in n
    }


def _finish(process):
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr[-3000:]


def _assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if np.asarray(value).dtype.kind == "f" and not name.startswith("loop"):
            np.testing.assert_allclose(other[name], value, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(one["pool/0/.ATTRIBUTES/VARIABLE_VALUE"], other["pool/0/.ATTRIBUTES/VARIABLE_VALUE"])


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """Weights of one replica. Its synchronization differences change sign from node to node, so a sum of
    absolute values per replica would give other weights."""
    workdir = tmp_path_factory.mktemp("single")
    _finish(_start(workdir, {}))
    return _weights(workdir)


@pytest.mark.parametrize("replicas", [2, 3])
def test_replicas_train_alike(replicas, single, tmp_path):
    _finish(_start(tmp_path, {"strategy": "mirrored", "virtual_devices": replicas}))
    _assert_same(single, _weights(tmp_path))


def test_two_workers_train_alike(single, tmp_path):
    workers = [_start(tmp_path, {"strategy": "multi_worker"}, environment) for environment in clusters(2)]
    for worker in workers:
        _finish(worker)
    _assert_same(single, _weights(tmp_path))


def test_batches_that_do_not_divide_are_refused():
    class Three:
        num_replicas_in_sync = 3

    with pytest.raises(UserError, match=r"--source_batch=64 does not divide evenly over 3 devices: .* such as 66"):
        distribution.check_batches(DataSettings(source_batch=64), Three())


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(UserError, match="--num_devices=99, but there are 3"):
        distribution.build_strategy(DeviceSettings(strategy="mirrored", num_devices=99))
