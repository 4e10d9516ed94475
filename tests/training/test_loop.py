"""When the loop reports, labels, evaluates and checkpoints; of what it runs it knows nothing."""

import os
import signal

import pytest
import tensorflow as tf

from gsda_tf.training import loop as loop_lib
from gsda_tf.training.loop import Hooks, Interrupted, Loop, Periods


class _Runner:
    """Counts steps; at some step something happens."""

    def __init__(self, start: int = 0, happens=None):
        self.steps_done, self._happens = start, happens or {}

    def __call__(self, iterator, steps):
        for _ in range(steps):
            self.steps_done += 1
            self._happens.get(self.steps_done, lambda: None)()

    def read_window(self):
        return {"loss": 1.0}


def _run(steps, periods, runner=None):
    """What was done: (name, step) in order."""
    done = []
    note = lambda name: lambda step, *_: done.append((name, step))  # noqa: E731
    hooks = Hooks(
        batches=lambda first, last: lambda share: tf.data.Dataset.range(1), report=note("report"),
        evaluate=note("evaluate"), label=note("label"), checkpoint=note("checkpoint"), progress=lambda *_: None,
    )  # fmt: skip
    loop = Loop(runner or _Runner(), tf.distribute.get_strategy(), periods, hooks)
    try:
        loop.run(steps)
    except Interrupted as interrupted:
        done.append(("interrupted", int(str(interrupted))))
    return done


def _steps(done, name):
    return [step for what, step in done if what == name]


def test_everything_has_its_period_and_the_end_is_evaluated_and_kept():
    done = _run(10, Periods(report=4, evaluate=5, label=3, checkpoint=6, checkpoint_seconds=1e9))
    assert _steps(done, "report") == [4, 8, 10]
    assert _steps(done, "evaluate") == [5, 10]
    assert _steps(done, "label") == [3, 6, 9]
    assert _steps(done, "checkpoint") == [6, 10]
    assert done[-1] == ("checkpoint", 10), "after all that it holds"


def test_goes_on_where_it_stands_as_if_it_had_not_stopped():
    periods = Periods(report=4, evaluate=5, label=3, checkpoint=6, checkpoint_seconds=1e9)
    whole, rest = _run(12, periods), _run(12, periods, _Runner(6))
    assert [each for each in whole if each[1] > 6] == rest


def test_zero_means_never():
    done = _run(6, Periods(report=6, evaluate=6, label=0, checkpoint=100, checkpoint_seconds=1e9))
    assert _steps(done, "label") == [] and _steps(done, "checkpoint") == [6]


def test_checkpoints_by_the_clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(loop_lib.time, "monotonic", lambda: now[0])

    def slow():
        now[0] += 100.0

    runner = _Runner(happens={step: slow for step in range(1, 9)})
    done = _run(8, Periods(report=1, evaluate=8, label=0, checkpoint=100, checkpoint_seconds=250.0), runner)
    assert _steps(done, "checkpoint") == [3, 6, 8]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_heard_after_the_step_at_hand(number):
    """At the last step, too: nothing that takes long, an export say, begins after it."""
    before = signal.getsignal(number)
    for step in (3, 8):
        runner = _Runner(happens={step: lambda: os.kill(os.getpid(), number)})
        done = _run(8, Periods(report=1, evaluate=8, label=0, checkpoint=100, checkpoint_seconds=1e9), runner)
        assert done[-2:] == [("checkpoint", step), ("interrupted", step)]
    assert signal.getsignal(number) is before


def test_a_second_signal_stops_at_once():
    def twice():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            _run(8, Periods(1, 8, 0, 100, 1e9), _Runner(happens={2: twice}))
    finally:
        signal.signal(signal.SIGINT, before)
