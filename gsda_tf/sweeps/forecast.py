"""The time that the rest of a sweep takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection

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
        self._seen: dict[Trial, list[tuple[float, int]]] = {}  # (seconds, steps): when begun, of first steps, of last

    def begun(self, run: Trial) -> None:
        """A run begins, or goes on."""
        self._seen[run] = [(self._now(), run.steps_done())]

    def seen(self, run: Trial, steps: int) -> None:
        """A run at work has done so many steps."""
        if run in self._seen and steps > self._seen[run][-1][1]:
            self._seen[run][2:] = [(self._now(), steps)]

    def ended(self, run: Trial) -> None:
        """A run is finished: what came after its last steps counts with them."""
        if run in self._seen:
            begun, *rest = self._seen[run]
            self._seen[run] = [begun, *(rest[:1] or [begun]), (self._now(), run.settings.optimization.steps)]

    def left(self, waiting: Collection[Trial], working: Collection[Trial]) -> float | None:
        """Seconds until all are finished; None before anything is known."""
        going = {run: moments[1:] for run, moments in self._seen.items() if len(moments) == 3}
        rates = {run: (b - a) / (last - first) for run, ((a, first), (b, last)) in going.items() if last > first}
        if not rates:
            return None
        starts = [moments[1][0] - moments[0][0] for moments in self._seen.values() if len(moments) > 1]
        start = statistics.median_low(starts)
        if len(starts) == 1:  # it may have computed features, which the others find: it counts no more than its steps
            (((then, _), (now, _)),) = going.values()
            start = min(start, now - then)

        def pace(run: Trial) -> float:
            alike = [rate for other, rate in rates.items() if other.method == run.method]
            return statistics.fmean([rates[run]] if run in rates else alike or rates.values())

        expected = [start + pace(run) * run.settings.optimization.steps for run in waiting]
        for run in working:
            then, done = self._seen[run][-1]
            rest = pace(run) * (run.settings.optimization.steps - done) + (start if len(self._seen[run]) == 1 else 0)
            expected.append(max(rest - (self._now() - then), 0.0))
        return max(sum(expected) / self._width, max(expected, default=0.0))
