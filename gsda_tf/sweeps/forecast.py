"""The time that the rest of a sweep takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping

from gsda_tf.sweeps.trials import Trial


class Forecast:
    """Predicts how long the rest of a sweep takes, from what its runs took so far.

    A run's time before its first steps (imports, data, and of the first run the features of a frozen backbone) is kept
    apart from its steps, and methods are kept apart, as their steps differ.

    Args:
      width: runs at the same time.
      now: seconds.
    """

    def __init__(self, width: int, now: Callable[[], float] = time.monotonic):
        self._width, self._now = width, now
        self._begun: dict[Trial, tuple[float, int]] = {}
        self._first: dict[Trial, tuple[float, int]] = {}
        self._last: dict[Trial, tuple[float, int]] = {}

    def begun(self, run: Trial) -> None:
        """A run begins, or goes on."""
        self._begun[run] = (self._now(), run.steps_done())
        for seen in (self._first, self._last):
            seen.pop(run, None)

    def seen(self, run: Trial, steps: int) -> None:
        """A run at work has done so many steps."""
        if run in self._begun and steps > self._last.get(run, self._begun[run])[1]:
            self._last[run] = (self._now(), steps)
            self._first.setdefault(run, self._last[run])

    def ended(self, run: Trial) -> None:
        """A run is finished: what came after its last steps counts with them."""
        if run in self._begun:
            self._last[run] = (self._now(), run.settings.optimization.steps)
            self._first.setdefault(run, self._begun[run])

    def left(self, waiting: Collection[Trial], working: Collection[Trial]) -> float | None:
        """Seconds until all are finished; None before anything is known."""
        rates = {run: r for run in self._last if (r := self._rate(run)) is not None}
        if not rates:
            return None
        starts = [self._first[run][0] - self._begun[run][0] for run in self._first]
        start = statistics.median_low(starts)
        if len(starts) == 1:  # it may have computed features, which the others find: it counts no more than its steps
            (run,) = self._first
            start = min(start, self._last[run][0] - self._first[run][0])
        expected = [start + self._pace(run, rates) * run.settings.optimization.steps for run in waiting]
        for run in working:
            began, done = self._last.get(run, self._begun[run])
            rest = self._pace(run, rates) * (run.settings.optimization.steps - done)
            rest += 0.0 if run in self._last else start
            expected.append(max(rest - (self._now() - began), 0.0))
        return max(sum(expected) / self._width, max(expected, default=0.0))

    def _rate(self, run: Trial) -> float | None:
        """Seconds a step."""
        (began, first), (now, last) = self._first[run], self._last[run]
        return (now - began) / (last - first) if last > first else None

    def _pace(self, run: Trial, rates: Mapping[Trial, float]) -> float:
        alike = [rate for other, rate in rates.items() if other.method == run.method]
        return statistics.fmean([rates[run]] if run in rates else alike or rates.values())
