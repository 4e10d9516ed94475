"""The step benchmark: its plain reference is the same mathematics, and the command measures what it says."""

import json

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import step as step_benchmark
from gsda_tf import recipes
from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.records import ArrayRecords
from gsda_tf.errors import UserError
from gsda_tf.methods import get_method, method_names
from tests import rounding
from tests.rounding import double

_SMALL = {
    "extractor": "small_cnn", "weights": "none", "image_size": 8, "resize_size": 8, "bottleneck_units": 6,
    "discriminator_units": (5, 4), "num_groups": (2,), "steps": 20, "source_batch": 6, "target_batch": 5,
    "augmentation": "none", "adversarial_ramp": 0.0, "learning_rate": 0.1, "backbone_rate": 1.0,
}  # fmt: skip


def _settings(**changes):
    return recipes.written({**_SMALL, **changes})


def _data():
    rng = np.random.default_rng(0)

    def domain(name):
        images = rng.integers(0, 256, (12, 8, 8, 3), np.uint8)
        return DomainData(name, ArrayRecords(images, name), np.arange(12, dtype=np.int32) % 4)

    return TaskData("t", domain("a"), domain("b"), ("p", "q", "r", "s"))


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("slopes", ["closed_form", "tapes"])
def test_plain_step_does_what_the_training_step_does(slopes):
    """In float64: E, C and D after three steps, in which a difference has no time to grow."""
    experiment_lib, settings = double("training.experiment"), double("recipes").written(_SMALL)
    ends, starts = [], []
    for plain in (False, True):
        changed = settings.replace({"slopes": slopes})
        experiment = experiment_lib.Experiment(changed, _data(), tf.distribute.get_strategy())
        step = double("benchmarks.plain_step").PlainStep(experiment) if plain else experiment.training_step
        batches = TrainingBatches(experiment.data, settings.data, seed=0)
        variables = [*experiment.extractor.trainable_variables, *experiment.method.classifier.trainable_variables]
        starts.append([np.asarray(v) for v in variables])
        for i, batch in enumerate(batches.dataset(0, 3)):
            metrics = step(batch, tf.constant(i, tf.int64))
        assert metrics["loss/synchronization"] > 0
        ends.append([np.asarray(v) for v in variables])
    assert rounding.distance(*starts) == 0
    assert rounding.distance(starts[0], ends[0]) > 1e-3
    assert rounding.distance(*ends) < 3 * rounding.STEP


def test_measures_rows_in_turns_and_compares_each_with_the_floor(tmp_path):
    rows = ["floor", "gsda", "gsda_plain"]
    result = step_benchmark.run(_settings(task="digits/Fo_Ha"), rows, rounds=3, steps=2, classes=4)
    assert [row.name for row in result.rows] == rows
    assert all(len(row.seconds) == 3 and row.first_call_seconds > 0 and row.peak_memory > 0 for row in result.rows)
    assert {row.images for row in result.rows} == {11}
    assert result.discriminators == 7 and result.ratio("floor") == 1.0
    # Three 3x3 convolutions over 8x8 (twice) and 4x4: every multiplication and addition counts.
    products = 64 * 27 * 32 + 64 * 288 * 64 + 16 * 576 * 128
    assert 2 * products <= result.backbone_flops <= 2.1 * products
    text = step_benchmark.describe(result)
    assert "GSDA, plain" in text and "GFLOP" in text
    assert json.loads(json.dumps(result.as_json()))["rows"][1]["ratio_to_floor"] == result.ratio("gsda")


def test_what_has_no_step_is_no_row():
    trained = {name for name in method_names() if get_method(name).phases}
    assert set(step_benchmark.DEFAULT_ROWS) == {"floor", *trained, "gsda_plain"} and len(trained) >= 20
    with pytest.raises(UserError, match="row 'tca'"):
        step_benchmark.run(_settings(), ["floor", "tca"], 1, 1)


def test_unknown_row_is_named():
    with pytest.raises(UserError, match="gsd2"):
        step_benchmark.run(_settings(), ["gsd2"], rounds=1, steps=1, classes=4)
