"""A worker that dies takes the others with it, with a message; started again, they go on."""

import os
import signal
import time

import pytest
import tensorflow as tf

from gsda_tf.errors import WorkerLostError
from gsda_tf.runs.contents import read_metrics
from gsda_tf.training.distribution import part, worker_errors
from tests.processes import Process, clusters

_RUN = (
    "--strategy=multi_worker", "--discriminator_units=16", "--bottleneck_units=16", "--source_batch=12",
    "--target_batch=12", "--report_steps=10", "--evaluate_steps=1000", "--checkpoint_steps=20", "--noexport",
    "--report=false",
)  # fmt: skip


def _start(*flags) -> list[Process]:
    return [Process("launch.train", [*_RUN, *flags], environment) for environment in clusters(2)]


@pytest.mark.slow
def test_the_others_end_within_a_minute_and_the_run_goes_on(tmp_path):
    flags = [f"--workdir={tmp_path}", "--steps=100000"]
    for victim in (0, 1):
        began = len(read_metrics(str(tmp_path)))
        workers = _start(*flags)
        while len(read_metrics(str(tmp_path))) < began + 8 and all(w.poll() is None for w in workers):
            time.sleep(0.1)
        workers[victim].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        stdout, stderr = workers[1 - victim].communicate(120)
        assert time.monotonic() - killed < 60
        assert workers[1 - victim].returncode == 75, stderr
        errors = [line for line in stderr.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1 and "One of the 2 workers does not answer any more" in errors[0]
        assert f"from the newest checkpoint in {tmp_path}" in errors[0] and "Traceback" not in stderr
        workers[victim].communicate()
        if victim == 1:
            assert "Going on from step" in stdout
    steps = [line["step"] for line in read_metrics(str(tmp_path))]
    assert steps == sorted(steps)


class _Strategy:
    """What is asked of a strategy."""

    def __init__(self, workers: int):
        self.cluster_resolver = self
        self._workers = workers

    def cluster_spec(self):
        return tf.train.ClusterSpec({"worker": [f"host:{port}" for port in range(1, self._workers + 1)]})


@pytest.mark.parametrize("kind", [tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError])
def test_collective_errors_are_told_in_one_line(kind):
    told = pytest.raises(WorkerLostError, match=r"^One of the 3 workers .* in runs/x\.$")
    with told as caught, worker_errors(_Strategy(3), "runs/x"):
        raise kind(None, None, "Collective ops is aborted\nby something")
    assert caught.value.exit_code == 75 and "\n" not in str(caught.value)


def test_one_worker_keeps_its_own_errors():
    strategy = tf.distribute.get_strategy()
    with pytest.raises(tf.errors.UnavailableError), worker_errors(strategy, os.sep):
        raise tf.errors.UnavailableError(None, None, "x")
    with pytest.raises(tf.errors.CancelledError), worker_errors(_Strategy(1), os.sep):
        raise tf.errors.CancelledError(None, None, "x")


def test_parting_from_workers_that_left_before_is_no_error(monkeypatch):
    asked = []

    def gone(*given, **named):
        asked.append(given)
        raise tf.errors.UnavailableError(None, None, "Socket closed")

    monkeypatch.setattr(_Strategy, "run", lambda self, one: one(), raising=False)
    monkeypatch.setattr(_Strategy, "reduce", gone, raising=False)
    part(_Strategy(1))
    part(tf.distribute.get_strategy())
    assert not asked
    part(_Strategy(2))
    assert asked
