"""Low precision and compilation: near the float32 result, finite, and an overflow skips one step and no more."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.records import ArrayRecords
from gsda_tf.errors import UserError
from gsda_tf.training.experiment import Experiment
from gsda_tf.training.runner import StepRunner
from tests import rounding
from tests.training.distributed_run import NUDGE
from tests.training.test_distribution import Runs, assert_same

STEPS = 50


def _settings(**changes):
    base = {
        "extractor": "small_cnn", "weights": "none", "image_size": 4, "resize_size": 4, "bottleneck_units": 8,
        "discriminator_units": (6,), "num_groups": (2,), "steps": STEPS, "source_batch": 8, "target_batch": 8,
        "augmentation": "none", "learning_rate": 0.02, "backbone_rate": 1.0,
    }  # fmt: skip
    return recipes.written({**base, **changes})


def _data():
    """Classes that differ in brightness; the target is darker."""
    rng = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.int32) % 4

    def domain(name, scale):
        images = scale * (50 * labels[:, None, None, None] + rng.integers(0, 60, (40, 4, 4, 3)))
        return DomainData(name, ArrayRecords(images.astype(np.uint8), name), labels)

    return TaskData("t", domain("a", 1.0), domain("b", 0.7), ("p", "q", "r", "s"))


@pytest.fixture(scope="session")
def plain():
    return _train()


def _train(steps=STEPS, scale=None, **changes):
    from gsda_tf.data.batches import TrainingBatches

    settings, strategy = _settings(**changes), tf.distribute.get_strategy()
    experiment = Experiment(settings, _data(), strategy)
    if scale and experiment.training_step.loss_scale:
        experiment.training_step.loss_scale.value.assign(scale)
    runner = StepRunner(strategy, experiment.training_step, settings.device.jit_compile == "step")
    batches = TrainingBatches(experiment.data, settings.data, 0).dataset(0, settings.optimization.steps)
    runner.build({name: tf.TensorSpec(s.shape, s.dtype) for name, s in batches.element_spec.items()})
    iterator, windows = iter(batches), []
    for _ in range(max(1, steps // 10)):
        runner(iterator, min(steps, 10))  # raises if a term is not finite
        windows.append(runner.read_window())
    return experiment, runner, iterator, windows


# Half of what lies between 1 and the next number.
_UNIT = {"mixed_float16": 2.0**-11, "mixed_bfloat16": 2.0**-8}
# A scale at which no step is skipped.
_SCALE = 2.0**12


@pytest.mark.parametrize("precision", _UNIT)
def test_low_precision_takes_the_step_of_float32(precision):
    """The first step: runs of many part at every ReLU that rounding turns."""
    ours, _, _, windows = _train(steps=1, scale=_SCALE, precision=precision)
    theirs, _, _, expected = _train(steps=1)
    unit = _UNIT[precision]
    # Some twenty roundings lie behind one another: weights, inputs and outputs of each layer, there and back.
    for name, value in expected[0].items():
        assert windows[0][name] == pytest.approx(value, rel=20 * unit, abs=20 * unit), name
    # A ReLU whose input rounds across 0 changes its part of the gradient by all of it, in a share of about `unit` of
    # all places: by sqrt(unit) of the gradient's length. A first velocity is a gradient.
    for group in [name for name in ours.state() if name.endswith("_velocities")]:
        for mine, other in zip(ours.state()[group], theirs.state()[group]):
            off = np.linalg.norm(mine.numpy() - other.numpy()) / np.linalg.norm(other.numpy())
            assert off < 20 * unit + 2 * unit**0.5, (group, mine.name)


@pytest.mark.parametrize("precision", _UNIT)
def test_low_precision_learns_as_float32_does(precision, plain):
    experiment, runner, _, windows = _train(precision=precision, scale=_SCALE)
    if experiment.training_step.loss_scale:
        assert float(experiment.training_step.loss_scale.value) == _SCALE
    assert experiment.extractor.backbone.layers[-1].compute_dtype == precision.removeprefix("mixed_")
    fell = [each[0]["loss/classification"] - each[-1]["loss/classification"] for each in (windows, plain[3])]
    assert fell[0] > 0.5 * fell[1] > 0
    for model in (experiment.extractor, experiment.method.classifier, experiment.method.bank):
        assert all(np.isfinite(np.asarray(v)).all() for v in model.variables)
    assert runner.traces == 1


def test_an_overflow_skips_the_step_for_both_optimizers_and_halves_the_scale():
    experiment, runner, iterator, _ = _train(steps=2, precision="mixed_float16")
    held = [*experiment.state()["extractor"], *experiment.state()["classifier"], *experiment.state()["discriminators"]]
    held += [v for name, group in experiment.state().items() if name.endswith("velocities") for v in group]
    before = [v.numpy() for v in held]
    experiment.training_step.loss_scale.value.assign(1e38)
    runner(iterator, 1)
    changed = [v.name for v, b in zip(held, before) if not np.array_equal(v.numpy(), b)]
    # The discriminators have no part in the backward pass that overflowed: their own gradients were finite.
    discriminators = {v.name for v in experiment.state()["discriminators"]}
    discriminators |= {v.name for v in experiment.state()["discriminators_velocities"]}
    assert not set(changed) - discriminators
    assert float(experiment.training_step.loss_scale.value) == pytest.approx(5e37, rel=1e-6)
    experiment.training_step.loss_scale.value.assign(2.0**15)
    runner(iterator, 5)
    assert all(np.isfinite(v.numpy()).all() for v in held)
    assert not np.array_equal(held[0].numpy(), before[0])


def test_the_step_compiled_computes_the_same(tmp_path):
    """All of it, and the heads alone; in float64, as replicas are compared."""
    # Without op determinism, under which XLA has no gradient of pooling.
    free = {"deterministic": False}
    runs = Runs(
        tmp_path,
        {
            "none": free,
            "heads": {**free, "jit_compile": "heads"},
            "step": {**free, "jit_compile": "step"},
            "nudged": {**free, "change": "nudged"},
        },
    ).weights()
    growth = rounding.distance(runs["none"][0], runs["nudged"][0]) / NUDGE
    for part in ("heads", "step"):
        assert_same(runs["none"], runs[part], growth)


def test_the_heads_compiled_are_traced_once():
    assert _train(steps=2, jit_compile="heads")[1].traces == 1


def test_compiling_over_several_devices_is_refused():
    with pytest.raises(UserError, match="--jit_compile=heads is for --strategy=default or --strategy=one_device"):
        recipes.resolve({"jit_compile": "heads", "strategy": "mirrored"})


def test_features_that_overflow_move_nothing():
    experiment, runner, iterator, _ = _train(steps=2, precision="mixed_float16")
    bias = experiment.extractor.bottleneck.trainable_variables[1]
    bias.assign(bias + np.inf)
    scale = float(experiment.training_step.loss_scale.value)
    state = {name: [v.numpy() for v in group] for name, group in experiment.state().items() if name != "loss_scale"}
    runner(iterator, 1)
    for name, group in state.items():
        for variable, before in zip(experiment.state()[name], group):
            np.testing.assert_array_equal(variable.numpy(), before, err_msg=name)
    assert float(experiment.training_step.loss_scale.value) == scale / 2
