"""When the loop calls what; of what it runs it knows nothing."""

import os
import signal

import pytest

from gsda_tf.training.callbacks.base import Callback
from gsda_tf.training.loop import Interrupted, Loop


class _Runner:
    """Counts steps; at some step something happens."""

    def __init__(self, start: int = 0, happens=None):
        self.steps_done, self._happens = start, happens or {}

    def __call__(self, iterator, steps):
        for _ in range(steps):
            self.steps_done += 1
            next(iterator)
            self._happens.get(self.steps_done, lambda: None)()


class _Every(Callback):
    """Notes when it acts."""

    def __init__(self, name, period, done):
        super().__init__(None)
        self.name, self._period, self._done = name, period, done

    @property
    def period(self):
        return self._period

    def begin(self, step):
        self._done.append((f"{self.name} begins", step))

    def act(self, step):
        self._done.append((self.name, step))

    def end(self):
        self._done.append((f"{self.name} ends", -1))


class _Kept(_Every):
    def due(self, moment):
        return super().due(moment) or moment.stopping


def _run(steps, runner=None, feed_steps=100, **periods):
    """What was done: (name, step) in order."""
    done = []
    callbacks = [(_Kept if name == "keep" else _Every)(name, period, done) for name, period in periods.items()]

    def feed(step):
        end = min(steps, (step // feed_steps + 1) * feed_steps)
        return iter(range(step, end)), end  # no more than asked for: a step too many would find nothing

    try:
        Loop(runner or _Runner(), feed, callbacks).run(steps)
    except Interrupted as interrupted:
        done.append(("interrupted", int(str(interrupted))))
    return done


def _steps(done, name):
    return [step for what, step in done if what == name]


def test_everything_has_its_period_and_its_turn_at_the_end():
    done = _run(10, log=4, evaluate=5, keep=6, never=0, feed_steps=3)
    assert _steps(done, "log") == [4, 8, 10]
    assert _steps(done, "evaluate") == [5, 10]
    assert _steps(done, "keep") == [6, 10]
    assert _steps(done, "never") == [10]
    assert done[:4] == [(f"{name} begins", 0) for name in ("log", "evaluate", "keep", "never")]
    assert done[-8:] == [
        *((name, 10) for name in ("log", "evaluate", "keep", "never")),
        *((f"{name} ends", -1) for name in ("never", "keep", "evaluate", "log")),
    ]


def test_goes_on_where_it_stands_as_if_it_had_not_stopped():
    whole, rest = _run(12, log=4, evaluate=5, keep=6), _run(12, _Runner(6), log=4, evaluate=5, keep=6)
    acts = [each for each in whole if each[1] > 6]
    assert acts == [each for each in rest if each[1] > 6]


def test_whatever_happens_callbacks_end():
    def fail():
        raise ValueError

    done = []
    with pytest.raises(ValueError):
        Loop(_Runner(happens={3: fail}), lambda step: (iter(range(8)), 8), [_Every("log", 1, done)]).run(8)
    assert done[-1] == ("log ends", -1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_heard_after_the_step_at_hand(number):
    """At the last step, too: nothing that takes long, an export say, begins after it."""
    before = signal.getsignal(number)
    for step in (3, 8):
        runner = _Runner(happens={step: lambda: os.kill(os.getpid(), number)})
        done = _run(8, runner, log=1, keep=100)
        assert done[-4:] == [("keep", step), ("keep ends", -1), ("log ends", -1), ("interrupted", step)]
    assert signal.getsignal(number) is before


def test_a_second_signal_stops_at_once():
    def twice():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            _run(8, _Runner(happens={2: twice}), log=1)
    finally:
        signal.signal(signal.SIGINT, before)
