"""What a run is made of: from its seed, with all of its state, and restored from its folder."""

import json
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.data.fingerprint import fingerprint
from gsda_tf.errors import UserError
from gsda_tf.runs import checkpoints
from gsda_tf.runs.contents import write_settings
from gsda_tf.training.experiment import restore
from tests.methods.build import batch, experiment, task


@pytest.fixture(scope="session")
def gsda():
    """To be looked at."""
    return experiment("gsda", num_groups=(2,))


def _numbers(built) -> dict[str, list[np.ndarray]]:
    return {name: [v.numpy() for v in group] for name, group in built.state().items()}


def test_weights_follow_from_the_seed_and_from_nothing_that_was_drawn_before(gsda):
    random.random(), keras.layers.Dense(3).build([None, 2])
    again, other = experiment("gsda", num_groups=(2,)), experiment("gsda", num_groups=(2,), seed=1)
    assert again.weights_sha256() == gsda.weights_sha256() != other.weights_sha256()
    for name, group in _numbers(gsda).items():
        for one, same in zip(group, _numbers(again)[name]):
            np.testing.assert_array_equal(one, same)


def test_generators_of_the_caller_go_on_as_if_nothing_had_been_built():
    states = random.getstate(), np.random.get_state()[1].tolist(), tf.compat.v1.get_seed(0)
    experiment("dann", seed=7)
    assert (random.getstate(), np.random.get_state()[1].tolist(), tf.compat.v1.get_seed(0)) == states


def test_state_holds_each_variable_once_and_all_that_a_step_moves(gsda):
    held = [id(v) for group in gsda.state().values() for v in group]
    assert len(held) == len(set(held))
    before = _numbers(gsda)
    gsda.training_step(batch(), tf.constant(0, tf.int64))
    moved = {n for n, group in _numbers(gsda).items() if any(not np.array_equal(*p) for p in zip(group, before[n]))}
    velocities = {f"{name}_velocities" for name in ("backbone", "bottleneck", "classifier", "discriminators")}
    assert moved == {"extractor", "classifier", "discriminators", *velocities}
    for name, group in gsda.state().items():
        for variable, value in zip(group, before[name]):
            variable.assign(value)


def test_what_is_deployed_needs_neither_adversaries_nor_velocities(gsda):
    assert set(gsda.deployed_state()) == {"extractor", "classifier"}
    assert set(gsda.networks()) == {"extractor", "classifier", "discriminators"}


def test_the_digest_is_that_of_e_and_c(gsda):
    first = gsda.weights_sha256()
    pool = gsda.pool.numpy()
    gsda.pool.assign(tf.zeros_like(gsda.pool))
    (bank, *_) = gsda.state()["discriminators"]
    value = bank.numpy()
    bank.assign(value + 1)
    assert gsda.weights_sha256() == first
    gsda.pool.assign(pool)
    bank.assign(value)
    bias = gsda.state()["classifier"][1]
    value = bias.numpy()
    bias.assign(value + 1e-6)
    assert gsda.weights_sha256() != first
    bias.assign(value)


def _stored(built, workdir) -> str:
    """A run's folder with one checkpoint, of step 3."""
    extra = {"class_names": built.data.class_names, "data": fingerprint(built.data), "task": "t"}
    write_settings(str(workdir), built.settings.flat(), extra)
    checkpoints.Checkpoints(built.state(), str(workdir), 1).save(3)
    return str(workdir)


class TestRestore:
    @pytest.fixture(autouse=True)
    def data(self, monkeypatch):
        monkeypatch.setattr("gsda_tf.training.experiment.load", lambda settings, class_names=None: task())

    def test_weights_are_those_of_the_checkpoint(self, tmp_path):
        built = experiment("mcc")
        for variable in built.state()["classifier"]:
            variable.assign_add(tf.ones_like(variable))
        again, step = restore(_stored(built, tmp_path))
        assert step == 3 and again.weights_sha256() == built.weights_sha256()
        assert again.settings.flat() == {**built.settings.flat(), "download": False}, "nothing is fetched unasked"

    def test_what_is_not_there_is_told(self, tmp_path, gsda):
        with pytest.raises(UserError, match="holds no run: expected"):
            restore(str(tmp_path / "none"))
        with pytest.raises(UserError, match=r"has no checkpoint of step 2: there are 3\."):
            restore(_stored(gsda, tmp_path), step=2)

    def test_a_run_of_the_other_generation_is_refused(self, tmp_path, gsda):
        path = tmp_path / "settings.json"
        _stored(gsda, tmp_path)
        written = json.loads(path.read_text())
        path.write_text(json.dumps({**written, "generation": "Keras 1"}))
        with pytest.raises(Exception, match="is of Keras 1, this is keras"):
            restore(str(tmp_path))
