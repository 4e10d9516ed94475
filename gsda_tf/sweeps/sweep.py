"""Many runs of the train command: what is missing is run, several at a time, and a failure stops only itself."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent import futures

from tqdm import tqdm

from gsda_tf.errors import COMMANDS, BusyError, UserError, shown
from gsda_tf.progress import progress, seconds
from gsda_tf.run_child import STOP_SECONDS
from gsda_tf.sweeps.trials import Trial
from gsda_tf.workers import Ended, Pool, Task, outcome

TRAIN = f"{COMMANDS}.train"
"""The command of a run."""
_POLL_SECONDS = 0.5
_RETRIES = 3
"""A run that was stopped, not by this sweep, is started again so often."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """A run that did not finish: why, in one line, and where all it said lies."""

    run: Trial
    reason: str
    log: str


def execute(runs: Sequence[Trial], pool: Pool, out: str, finished: Callable[[], None] = lambda: None) -> list[Failure]:
    """Runs what is missing.

    A run that another process has at work, such as another sweep of the same folder, is waited for, and taken over if
    it ends unfinished. On Ctrl-C or SIGTERM the runs at work are asked to checkpoint and stop; the same sweep goes on
    from there. If this process is killed they stop, too.

    Args:
      runs: of the sweep; finished ones are passed over.
      pool: runs them.
      out: folder of the sweep; what each run says is added to a file in `out`/logs.
      finished: called after each run that ended.

    Returns:
      The runs that failed.

    Raises:
      KeyboardInterrupt: the sweep was stopped; all its runs have ended.
      DiskError: their logs cannot be written; all runs have ended.
      UserError: their folder is a link.
    """
    if os.path.islink(logs := os.path.join(out, "logs")):
        raise UserError(f"{logs} is a symbolic link, and nothing is written through one: remove the link.")
    waiting = [run for run in runs if run.summary() is None]
    shown = _Progress(len(runs), waiting, pool.width, out)
    working: dict[futures.Future[Ended], Trial] = {}
    elsewhere: set[str] = set()
    stopped: collections.Counter[str] = collections.Counter()
    failures: list[Failure] = []
    with shown.bar:
        try:
            while waiting or working:
                for run in list(waiting):
                    if run.at_work():
                        if run.workdir not in elsewhere:
                            tqdm.write(f"{run.title} is at work in another process: waiting for it", file=sys.stderr)
                        elsewhere.add(run.workdir)
                    elif run.workdir in elsewhere and run.summary() is not None:
                        waiting.remove(run)
                        finished()
                    elif len(working) < pool.width:
                        waiting.remove(run)
                        working[pool.submit(_task(run, out))] = run
                        shown.forecast.begun(run)
                for future in [future for future in working if future.done()]:
                    run = working.pop(future)
                    ended = outcome(future, functools.partial(Ended, 1))
                    if run.summary() is not None:
                        shown.forecast.ended(run)
                    elif ended.code == BusyError.exit_code and stopped[run.workdir] < _RETRIES:
                        # Somebody else began with it just before, or its process alone was asked to stop.
                        stopped[run.workdir] += not run.at_work()
                        waiting.append(run)
                        continue
                    else:
                        failures.append(Failure(run, f"{ended.said} (exit code {ended.code})", _log(run, out)))
                        tqdm.write(f"Failed: {run.title}: {failures[-1].reason}", file=sys.stderr)
                    finished()
                shown.update(waiting, [*working.values()], len(failures))
                futures.wait(working, _POLL_SECONDS, futures.FIRST_COMPLETED) if working else time.sleep(_POLL_SECONDS)
        finally:
            _end(pool, working)
    return failures


def _task(run: Trial, out: str) -> Task:
    return Task(TRAIN, run.arguments, os.getcwd(), os.path.abspath(_log(run, out)))


def _log(run: Trial, out: str) -> str:
    return os.path.join(out, "logs", re.sub(r"[^A-Za-z0-9]+", "_", run.title) + ".log")


def _end(pool: Pool, working: Mapping[futures.Future, Trial]) -> None:
    """Lets runs at work write their checkpoints, if there are any; a second Ctrl-C kills them."""
    if not working:
        return
    tqdm.write(f"Stopping: {len(working)} runs write their checkpoints ...", file=sys.stderr)
    pool.end()
    try:
        futures.wait(working)
        deadline = time.monotonic() + STOP_SECONDS  # a cluster's futures do not wait for what they stand for
        while any(run.at_work() for run in working.values()) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        pool.end()
        futures.wait(working)
        raise


def _last_line(path: str) -> str:
    """Returns the last thing that a run has said, short."""
    try:
        with open(path, "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - 1000, 0))
            lines = re.split(r"[\r\n]+", file.read(1000).decode("utf-8", "replace").strip())
    except OSError:
        return "begins"
    return shown(lines[-1])[:80]


class _Progress:
    """The bar of a sweep: steps that are done, and the time that the rest takes."""

    def __init__(self, total: int, waiting: Sequence[Trial], width: int, out: str):
        self.forecast, self._total, self._out = Forecast(width), total, out
        self._steps = sum(run.settings.optimization.steps for run in waiting)
        self.bar = progress(
            total=self._steps,
            initial=self._done(waiting),
            unit="step",
            desc="sweep",
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} steps [{elapsed}{postfix}]",  # the time left is `Forecast`'s
        )

    def update(self, waiting: Sequence[Trial], working: Sequence[Trial], failures: int) -> None:
        """Brings the bar up to date."""
        for run in working:
            self.forecast.seen(run, run.steps_done())
        left = self.forecast.left(waiting, working)
        parts = [f"{self._total - len(waiting) - len(working)}/{self._total} runs"]
        parts += [f"{failures} failed"] if failures else []
        parts += [f"about {seconds(round(left))} left"] if left is not None else []
        if working and left is None:  # nothing to reckon with yet: what it does now, in its own words
            parts.append(f"{working[0].title}: {_last_line(_log(working[0], self._out))}")
        self.bar.set_postfix_str(", ".join(parts), refresh=False)
        self.bar.update(self._done([*waiting, *working]) - self.bar.n)

    def _done(self, rest: Sequence[Trial]) -> int:
        return self._steps - sum(max(run.settings.optimization.steps - run.steps_done(), 0) for run in rest)


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
