"""Runs that are killed while they write, and what becomes of damaged checkpoints."""

import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes
from gsda_tf.compat import KERAS_3
from gsda_tf.runs.checkpoints import Checkpoints, newest, paths
from gsda_tf.training.distribution import configure_devices
from gsda_tf.training.loop import Interrupted
from gsda_tf.training.run import train
from gsda_tf.training.runner import StepRunner
from tests.processes import Process


def test_killed_while_a_checkpoint_is_written(tmp_path):
    """The one before is whole, and nothing is left over once somebody goes on."""
    process = Process("tests.faults.killed_run", [str(tmp_path)])
    said = process.communicate(240)
    assert process.returncode == -signal.SIGKILL, said
    assert [name for name in os.listdir(tmp_path / "checkpoints") if "temp" in name]
    variable = tf.Variable(tf.zeros([10**6]))
    step = Checkpoints({"weights": [variable]}, str(tmp_path), keep=3).restore()
    assert step >= 1 and (variable.numpy() == step).all()
    assert not [name for name in os.listdir(tmp_path / "checkpoints") if "temp" in name]


class TestDamage:
    """Checkpoints of which something is missing."""

    @pytest.fixture
    def stored(self, tmp_path):
        """Three checkpoints of a variable that holds the step, the newest 3."""
        self.variable = tf.Variable(tf.zeros([1000]))
        stored = Checkpoints({"weights": [self.variable]}, str(tmp_path), keep=5)
        for step in (1, 2, 3):
            self.variable.assign(tf.fill([1000], float(step)))
            stored.save(step)
        self.variable.assign(tf.zeros([1000]))
        return stored

    @pytest.mark.parametrize("part", ["data-00000-of-00001", "index"])
    @pytest.mark.parametrize("damage", ["truncated", "emptied", "missing", "one byte", "a pipe"])
    def test_the_one_before_is_taken(self, stored, tmp_path, part, damage, capsys):
        path = tmp_path / "checkpoints" / f"ckpt-3.{part}"
        content = bytearray(path.read_bytes())
        if damage in ("missing", "a pipe"):
            path.unlink()
            if damage == "a pipe":
                os.mkfifo(path)
        else:
            content[len(content) // 2] ^= 1
            kept = {"truncated": len(content) // 2, "emptied": 0, "one byte": len(content)}[damage]
            path.write_bytes(bytes(content[:kept]))
        assert stored.restore() == 2
        assert len(told := capsys.readouterr().out.splitlines()) == 1
        assert all("Damaged checkpoint passed over" in line and "ckpt-3" in line for line in told)
        np.testing.assert_array_equal(self.variable.numpy(), 2.0)

    def test_nothing_of_a_damaged_one_is_taken(self, stored, tmp_path):
        for step in (1, 2, 3):
            path = tmp_path / "checkpoints" / f"ckpt-{step}.data-00000-of-00001"
            path.write_bytes(path.read_bytes()[:-10])
        assert stored.restore() == 0
        np.testing.assert_array_equal(self.variable.numpy(), 0.0)

    def test_the_oldest_go(self, stored, tmp_path):
        again = Checkpoints({"weights": [self.variable]}, str(tmp_path), keep=2)
        again.save(10)
        assert [os.path.basename(path) for path in paths(str(tmp_path))] == ["ckpt-3", "ckpt-10"]
        assert len(os.listdir(tmp_path / "checkpoints")) == 4

    def test_unfinished_files_are_removed(self, stored, tmp_path):
        folder = tmp_path / "checkpoints"
        (folder / "ckpt-4_temp").mkdir()
        (folder / "ckpt-4_temp" / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"x")
        (folder / "ckpt-4.index.tempstate123").write_bytes(b"x")
        Checkpoints({"weights": [self.variable]}, str(tmp_path), keep=5, write=False)
        assert (folder / "ckpt-4_temp").exists(), "whoever only reads removes nothing"
        again = Checkpoints({"weights": [self.variable]}, str(tmp_path), keep=5)
        assert not [name for name in os.listdir(folder) if "temp" in name] and again.restore() == 3


def _stopped_once(monkeypatch, settings, step):
    """Trains with a SIGTERM that comes at `step`, and goes on."""
    original = StepRunner.__call__

    def call(self, iterator, steps):
        original(self, iterator, steps)
        if self.steps_done == step:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(StepRunner, "__call__", call)
        with pytest.raises(Interrupted, match=str(step)):
            train(settings)
    return train(settings)


def _weights(workdir):
    reader = newest(str(workdir))[1]
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith(("extractor", "classifier"))]
    return {name: reader.get_tensor(name) for name in names}


def test_dropout_goes_on_as_if_nothing_had_happened(tmp_path, monkeypatch):
    """The state of the masks is in the checkpoint, in both generations of Keras."""
    path = str(tmp_path / "model.keras")
    layers = keras.layers
    keras.Sequential(
        [
            keras.Input((16, 16, 3)), layers.Conv2D(4, 3, strides=2), layers.Dropout(0.5, (None, 1, 1, None)),
            layers.Flatten(), layers.Dropout(0.3),
        ]
    ).save(path)  # fmt: skip
    small = {
        "task": "digits/Fo_Ha", "method": "source_only", "extractor": path, "preprocessing": "none",
        "image_size": 16, "resize_size": 16, "augmentation": "none", "steps": 6, "report_steps": 3,
        "evaluate_steps": 6, "export": False, "report": False, "source_batch": 8, "bottleneck_units": 8,
        "learning_rate": 0.05,
    }  # fmt: skip
    for name in ("whole", "stopped"):
        settings = recipes.resolve({**small, "workdir": str(tmp_path / name)})
        configure_devices(settings.device)  # the same sums in the same order
        train(settings) if name == "whole" else _stopped_once(monkeypatch, settings, step=3)
    whole, stopped = _weights(tmp_path / "whole"), _weights(tmp_path / "stopped")
    assert whole.keys() == stopped.keys()
    for name in whole:
        np.testing.assert_array_equal(stopped[name], whole[name], err_msg=name)
    states = [value for value in whole.values() if value.dtype.kind in "iu"]
    assert len(states) == 2
    if not KERAS_3:
        assert [int(state) for state in states] == [6, 6]
