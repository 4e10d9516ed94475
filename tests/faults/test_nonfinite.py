"""Numbers that are not finite: training stops at once, says where, and writes none of them."""

import os

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes
from gsda_tf.errors import NotFiniteError, TrainingError
from gsda_tf.methods import base
from gsda_tf.runs.checkpoints import Checkpoints
from gsda_tf.training.inference import Inference
from gsda_tf.training.run import train
from gsda_tf.training.runner import StepRunner

_TINY = {
    "task": "digits/Fo_Ha", "steps": 20, "checkpoint_steps": 2, "report_steps": 1, "method": "source_only",
    "source_batch": 8, "bottleneck_units": 8,
}  # fmt: skip
_SPEC = {"x": tf.TensorSpec([], tf.float32)}


def _runner(step_fn, **weights):
    runner = StepRunner(tf.distribute.get_strategy(), step_fn, weights=weights)
    runner.build(_SPEC)
    return runner, iter(tf.data.Dataset.from_tensors({"x": tf.constant(1.0)}).repeat())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_loss_is_named_with_its_step(bad):
    def step_fn(batch, step):
        return {"alignment/domain": tf.where(step == 4, bad, 1.0), "alignment/class": batch["x"]}

    runner, batches = _runner(step_fn)
    runner(batches, 4)
    with pytest.raises(TrainingError, match=r"^Not finite at step 5: alignment/domain\. Training stopped"):
        runner(batches, 100)
    assert runner.steps_done == 5, "at once"


def test_a_gradient_is_named_with_its_step():
    weights = [tf.Variable([1.0, 2.0], name="kernel"), tf.Variable(0.0, name="bias")]

    def step_fn(batch, step):
        weights[0].assign_add([0.0, tf.where(step == 6, np.nan, 0.1)])
        return {"alignment/domain": batch["x"]}

    runner, batches = _runner(step_fn, extractor=weights, classifier=[tf.Variable(1.0)])
    with pytest.raises(
        TrainingError, match=r"at step 7: the gradient of the extractor \(1 of 2 variables, such as kernel\)\. Tr"
    ):
        runner(batches, 100)
    assert runner.steps_done == 7, "at once, though every loss is finite"


def test_no_checkpoint_holds_such_a_weight(tmp_path):
    variable = tf.Variable([1.0, 2.0], name="kernel")
    stored = Checkpoints({"weights": [variable]}, str(tmp_path), keep=3)
    stored.save(1)
    variable.assign([np.inf, 2.0])
    with pytest.raises(TrainingError, match=r"kernel.* is not finite at step 2: no checkpoint of it is written"):
        stored.save(2)
    assert not [name for name in os.listdir(tmp_path / "checkpoints") if "ckpt-2" in name]
    assert stored.restore() == 1


@pytest.mark.parametrize("step, what", [(0, "features"), (2, "features"), (4, "logits")])
def test_an_evaluation_of_weights_that_are_finite(tmp_path, monkeypatch, step, what):
    """As half precision gives them at a high rate: finite weights, and infinite features before training or later."""
    original = Inference.__init__

    def poisoned(self, *given):
        original(self, *given)
        run = self._run._run

        def overflowing(images):
            features, logits = run(images)
            if (self.steps_done() or 0) < step:
                return features, logits
            return (features / 0.0, logits) if what == "features" else (features, logits / 0.0)

        self._run._run = overflowing

    monkeypatch.setattr(Inference, "__init__", poisoned)
    settings = recipes.resolve({**_TINY, "workdir": str(tmp_path), "evaluate_steps": 2})
    message = rf"^Not finite at step {step}: the {what} of .* images of fonts\. Training"
    with pytest.raises(NotFiniteError, match=message) as caught:
        train(settings)
    assert caught.value.exit_code == 3 and not (tmp_path / "summary.json").exists()


def test_a_run_whose_gradient_explodes(tmp_path, monkeypatch):
    """A gradient of NaN from finite losses, forced after the fourth step of a real run."""
    original = base.source_cross_entropy

    @tf.custom_gradient
    def poisoned(loss, step):
        return tf.identity(loss), lambda upstream: (tf.where(step >= 4, np.nan, upstream), None)

    calls = []

    def loss(*given):
        if not calls:
            calls.append(tf.Variable(0, dtype=tf.int64))
        now = calls[0].assign_add(1)
        return poisoned(original(*given), now - 1)

    with tf.init_scope():
        calls.append(tf.Variable(0, dtype=tf.int64))
    monkeypatch.setattr(base, "source_cross_entropy", loss)
    settings = recipes.resolve({**_TINY, "workdir": str(tmp_path), "evaluate_steps": 5, "checkpoint_steps": 2})
    with pytest.raises(TrainingError, match=r"^Not finite at step 5: the gradient of the extractor .*classifier"):
        train(settings)
    names = os.listdir(tmp_path / "checkpoints")
    assert "ckpt-4.index" in names and not [name for name in names if "ckpt-6" in name or "ckpt-5" in name]
    reader = tf.train.load_checkpoint(str(tmp_path / "checkpoints" / "ckpt-4"))
    for name in reader.get_variable_to_shape_map():
        value = np.asarray(reader.get_tensor(name))
        assert value.dtype.kind != "f" or np.isfinite(value).all(), name
    assert not os.path.exists(tmp_path / "summary.json") and not os.path.exists(tmp_path / "export")
