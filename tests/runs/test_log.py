"""The log of a run: no gaps, no doubles, whatever interrupted it."""

import glob
import math

import tensorflow as tf

from gsda_tf.runs.contents import read_metrics
from gsda_tf.runs.log import MetricsLog


def _events(folder) -> list[tuple[int, str]]:
    """(step, name) of everything that TensorBoard would show."""
    return [
        (event.step, value.tag)
        for path in glob.glob(str(folder / "tensorboard" / "*"))
        for event in tf.compat.v1.train.summary_iterator(path)
        for value in event.summary.value
    ]


def test_what_was_logged_after_the_checkpoint_is_dropped(tmp_path):
    log = MetricsLog(str(tmp_path), 0)
    for step in (1, 2, 3, 4):
        log.write(step, {"loss": float(step)})
    log.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 5, "lo')  # killed while it wrote
    assert [line["step"] for line in read_metrics(str(tmp_path))] == [1, 2, 3, 4]
    log = MetricsLog(str(tmp_path), 2)
    for step in (3, 4, 5):
        log.write(step, {"loss": 10.0 * step})
    log.close()
    lines = read_metrics(str(tmp_path))
    assert lines == [{"step": s, "loss": v} for s, v in zip(range(1, 6), (1.0, 2.0, 30.0, 40.0, 50.0))]
    assert sorted(_events(tmp_path)) == [(step, "loss") for step in range(1, 6)]


def test_numbers_that_are_not_finite_are_null(tmp_path):
    log = MetricsLog(str(tmp_path), 0)
    log.write(1, {"a": math.nan, "b": math.inf, "c": 1.0})
    log.close()
    assert read_metrics(str(tmp_path)) == [{"step": 1, "a": None, "b": None, "c": 1.0}]
    assert _events(tmp_path) == [(1, "c")]


def test_no_log_is_an_empty_one(tmp_path):
    assert read_metrics(str(tmp_path)) == []
