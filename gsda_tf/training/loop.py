"""The loop: steps, and callbacks between them. What a step does it does not know, nor what a callback does."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from gsda_tf.interruption import Interrupted, deferred
from gsda_tf.training.callbacks.base import Callback, Moment
from gsda_tf.training.runner import StepRunner

_SECONDS_A_CALL = 0.5
"""The host hears from the device this often: the progress bar moves, a signal is noticed."""


class Loop:
    """Trains from the step the runner stands at to the last.

    Args:
      runner: runs steps.
      feed: step -> (iterator over batches from that step on, the step at which it ends).
      callbacks: called in this order after every call of the runner.
    """

    def __init__(self, runner: StepRunner, feed: Callable[[int], tuple[Iterator, int]], callbacks: Sequence[Callback]):
        self._runner, self._feed, self._callbacks = runner, feed, callbacks
        self.training_seconds = 0.0

    def run(self, steps: int) -> None:
        """Trains until step `steps`.

        Raises:
          Interrupted: SIGTERM or SIGINT came; a checkpoint was written.
          NotFiniteError: a term is not finite.
        """
        step, rate = self._runner.steps_done, _Rate()
        with contextlib.ExitStack() as ends:
            for callback in self._callbacks:
                ends.callback(callback.end)
                callback.begin(step)
            with deferred() as stopping:
                while step < steps:
                    iterator, end = self._feed(step)
                    while step < end:
                        stop = min(end, *(callback.next(step) for callback in self._callbacks))
                        count, began = min(stop - step, rate.steps_a_call), time.perf_counter()
                        self._runner(iterator, count)
                        self.training_seconds += rate.add(count, time.perf_counter() - began)
                        step += count
                        moment = Moment(step, rate.value, step == steps, stopping())
                        for callback in self._callbacks:
                            callback(moment)
                        if moment.stopping or (moment.last and stopping()):
                            raise Interrupted(step)


class _Rate:
    """Steps a second over the last calls; the first call, which traces, does not count."""

    def __init__(self):
        self.value, self._calls = 0.0, 0

    @property
    def steps_a_call(self) -> int:
        """Returns how many steps to ask for at once."""
        return max(1, round(self.value * _SECONDS_A_CALL))

    def add(self, steps: int, seconds: float) -> float:
        """Takes in a call; returns the seconds that count as training."""
        self._calls += 1
        if self._calls == 1:
            return 0.0
        new = steps / max(seconds, 1e-9)
        self.value = new if self._calls == 2 else 0.7 * self.value + 0.3 * new
        return seconds
