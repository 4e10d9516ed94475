"""Low precision and compilation: near the float32 result, finite, and an overflow skips one step and no more."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import tasks
from gsda_tf.data.domain import ArrayRecords, Domain, TaskData
from gsda_tf.errors import UserError
from gsda_tf.training.experiment import Experiment
from gsda_tf.training.logs import read_metrics
from gsda_tf.training.loop import StepRunner
from tests.launch import commands

STEPS = 50


def _settings(**changes):
    base = {
        "extractor": "small_cnn", "weights": "none", "image_size": 8, "resize_size": 8, "bottleneck_units": 8,
        "discriminator_units": (6,), "num_groups": (2,), "steps": STEPS, "source_batch": 8, "target_batch": 8,
        "augmentation": "none", "learning_rate": 0.02, "backbone_rate": 1.0,
    }  # fmt: skip
    return tasks.written({**base, **changes})


def _data():
    """Classes that differ in brightness; the target is darker."""
    rng = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.int32) % 4

    def domain(name, scale):
        images = scale * (50 * labels[:, None, None, None] + rng.integers(0, 60, (40, 8, 8, 3)))
        return Domain(name, ArrayRecords(images.astype(np.uint8), name), labels)

    return TaskData("t", domain("a", 1.0), domain("b", 0.7), ("p", "q", "r", "s"))


def _train(steps=STEPS, scale=None, **changes):
    from gsda_tf.data.batches import TrainingBatches

    keras.utils.set_random_seed(0)
    settings, strategy = _settings(**changes), tf.distribute.get_strategy()
    experiment = Experiment(settings, _data(), strategy)
    if scale and experiment.loss_scale:
        experiment.loss_scale.value.assign(scale)
    runner = StepRunner(strategy, experiment.step, settings.device.jit_compile == "step")
    batches = TrainingBatches(experiment.data, settings.data, 0).dataset(0, settings.optimization.steps)
    runner.build({name: tf.TensorSpec(s.shape, s.dtype) for name, s in batches.element_spec.items()})
    iterator, windows = iter(batches), []
    for _ in range(max(1, steps // 10)):
        runner(iterator, min(steps, 10))  # raises if a term is not finite
        windows.append(runner.read_window())
    return experiment, runner, iterator, windows


@pytest.fixture(scope="module")
def plain():
    return _train()


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_low_precision_ends_near_float32(precision, plain):
    # A scale at which no step is skipped: 49 steps would be compared with 50.
    experiment, runner, _, windows = _train(precision=precision, scale=2.0**12)
    if experiment.loss_scale:
        assert float(experiment.loss_scale.value) == 2.0**12
    assert experiment.extractor.backbone.layers[-1].compute_dtype == precision.removeprefix("mixed_")
    assert windows[-1]["loss/classification"] < 0.85 * windows[0]["loss/classification"]
    for name in ("loss/classification", "alignment/domain", "alignment/class", "S/domain"):
        assert windows[-1][name] == pytest.approx(plain[3][-1][name], rel=0.05, abs=0.01), name
    for model in (experiment.extractor, experiment.method.classifier, experiment.method.bank):
        assert all(np.isfinite(np.asarray(v)).all() for v in model.variables)
    assert runner.traces == 1


def test_an_overflow_skips_the_step_for_both_optimizers_and_halves_the_scale():
    experiment, runner, iterator, _ = _train(steps=10, precision="mixed_float16")
    held = [*experiment.state()["extractor"], *experiment.state()["classifier"], *experiment.state()["discriminators"]]
    held += [v for name, group in experiment.state().items() if name.endswith("velocities") for v in group]
    before = [v.numpy() for v in held]
    experiment.loss_scale.value.assign(1e38)
    runner(iterator, 1)
    changed = [v.name for v, b in zip(held, before) if not np.array_equal(v.numpy(), b)]
    # The discriminators have no part in the backward pass that overflowed: their own gradients were finite.
    discriminators = {v.name for v in experiment.state()["discriminators"]}
    discriminators |= {v.name for v in experiment.state()["discriminators_velocities"]}
    assert not set(changed) - discriminators
    assert float(experiment.loss_scale.value) == pytest.approx(5e37, rel=1e-6)
    experiment.loss_scale.value.assign(2.0**15)
    runner(iterator, 5)
    assert all(np.isfinite(v.numpy()).all() for v in held)
    assert not np.array_equal(held[0].numpy(), before[0])


def test_the_step_compiled_computes_the_same(tmp_path):
    # As commands, because op determinism, which other tests switch on for good, has no pooling under XLA.
    first = {}
    for part in ("none", "step"):
        flags = [*commands.TINY, f"--workdir={tmp_path / part}", "--noexport", "--noreport", f"--jit_compile={part}"]
        commands.succeed("train", *flags)
        first[part] = next(line for line in read_metrics(str(tmp_path / part)) if line["step"])
    assert first["none"]["step"] == 10 and first["none"].keys() == first["step"].keys()
    for name, value in first["none"].items():
        assert first["step"][name] == pytest.approx(value, rel=1e-2, abs=1e-3), name


def test_the_heads_compiled_compute_the_same(plain):
    _, runner, _, windows = _train(steps=10, jit_compile="heads")
    for name, value in plain[3][0].items():
        assert windows[0][name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    assert runner.traces == 1


def test_compiling_over_several_devices_is_refused():
    with pytest.raises(UserError, match="--jit_compile=heads works on one device"):
        _settings(jit_compile="heads", strategy="mirrored")


def test_features_that_overflow_move_nothing():
    experiment, runner, iterator, _ = _train(steps=10, precision="mixed_float16")
    bias = experiment.extractor.bottleneck.trainable_variables[1]
    bias.assign(bias + np.inf)
    scale = float(experiment.loss_scale.value)
    state = {name: [v.numpy() for v in group] for name, group in experiment.state().items() if name != "loss_scale"}
    runner(iterator, 1)
    for name, group in state.items():
        for variable, before in zip(experiment.state()[name], group):
            np.testing.assert_array_equal(variable.numpy(), before, err_msg=name)
    assert float(experiment.loss_scale.value) == scale / 2
