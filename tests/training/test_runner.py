"""Many steps in one call of one traced function are as many calls of one step."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.errors import NotFiniteError
from gsda_tf.training.runner import StepRunner
from tests import rounding


def _runner(weights):
    """w <- 0.5 w + mean of the batch; what it logs depends on the step, too."""

    def step_fn(batch, step):
        weights.assign(0.5 * weights + tf.reduce_mean(batch["x"], axis=0))
        return {"loss/w": tf.reduce_sum(weights), "loss/step": tf.cast(step, tf.float32)}

    runner = StepRunner(tf.distribute.get_strategy(), step_fn, weights={"classifier": [weights]})
    runner.build({"x": tf.TensorSpec([4, 3])})
    return runner


def _batches(values):
    return iter(tf.data.Dataset.from_tensor_slices({"x": values}))


def _reference(values) -> tuple[np.ndarray, np.ndarray]:
    """Weights after each step; sums of what is logged, in float64."""
    w, rows = np.zeros(3), []
    for batch in values.astype(np.float64):
        w = 0.5 * w + batch.mean(axis=0)
        rows.append(w.copy())
    return np.asarray(rows), np.asarray(rows).sum(axis=1)


@pytest.mark.parametrize("calls", [[12], [1] * 12, [5, 1, 6]])
def test_however_they_are_called(calls):
    values = np.random.default_rng(0).normal(size=(12, 4, 3)).astype(np.float32)
    weights = tf.Variable(tf.zeros([3]))
    runner, batches = _runner(weights), _batches(values)
    expected, sums = _reference(values)
    done = 0
    for steps in calls:
        runner(batches, steps)
        done += steps
        assert runner.steps_done == done
        assert rounding.distance(weights.numpy(), expected[done - 1]) < rounding.bound(100, np.float32)
    window = runner.read_window()
    assert abs(window["loss/w"] - sums.mean()) < rounding.bound(200, np.float32) * np.abs(sums).max()
    assert window["loss/step"] == np.arange(12).mean()
    assert runner.read_window() == {} and runner.traces == 1


def test_the_first_that_is_not_finite_ends_it():
    """At its own step, with nothing done after it, and named."""
    values = np.ones((12, 4, 3), np.float32)
    values[6, 2, 1] = np.inf
    weights = tf.Variable(tf.zeros([3]))
    runner = _runner(weights)
    with pytest.raises(NotFiniteError, match="loss/w") as caught:
        runner(_batches(values), 12)
    assert runner.steps_done == 7 and "7" in str(caught.value)


def test_weights_that_are_not_finite_end_it_though_no_loss_shows_it():
    weights = tf.Variable(tf.zeros([3]), name="kernel")

    def step_fn(batch, step):
        weights.assign(batch["x"][0])
        return {"loss": tf.constant(1.0)}

    runner = StepRunner(tf.distribute.get_strategy(), step_fn, weights={"classifier": [weights]})
    runner.build({"x": tf.TensorSpec([4, 3])})
    values = np.zeros((3, 4, 3), np.float32)
    values[1, 0, 0] = np.nan
    with pytest.raises(NotFiniteError, match=r"gradient of the classifier \(1 of 1 variables, such as kernel\)"):
        runner(_batches(values), 3)
    assert runner.steps_done == 2
