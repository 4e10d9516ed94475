"""Many runs of the train command: what is missing is run, several at a time, and a failure stops only itself."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any

from tqdm import tqdm

from gsda_tf import defaults
from gsda_tf import methods as methods_lib
from gsda_tf import tasks as tasks_lib
from gsda_tf.data.domain import TaskData
from gsda_tf.datasets import get_benchmark
from gsda_tf.errors import COMMANDS, BusyError, UserError, WorkerLostError, choose
from gsda_tf.files import disk_errors, locked, open_regular, printable, read_regular, write_atomically
from gsda_tf.progress import progress, seconds
from gsda_tf.run_child import STOP_SECONDS
from gsda_tf.runs.contents import METRICS, fits, read_settings, read_summary
from gsda_tf.runs.folder import FREE, same_data
from gsda_tf.settings import DataSettings, Settings
from gsda_tf.settings import fields as settings_fields
from gsda_tf.sweeps.work import Ended, Pool, Task, Wish

TRAIN = f"{COMMANDS}.train"
"""The command of a run."""
_POLL_SECONDS = 0.5
_MOST_JSON = 2**24
_RETRIES = 3
"""A run that was stopped, not by this sweep, is started again so often."""
_OWN = ("task", "method", "add", "seed", "workdir")
"""Settings that the sweep gives to each run itself."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of the sweep.

    Attributes:
      settings: resolved, as the train command resolves them.
      arguments: of the train command.
      task: name of what is adapted to what, "office31/A_W".
      variant: what it has of a grid, "beta=10"; "" without one.
    """

    settings: Settings
    arguments: tuple[str, ...]
    task: str
    variant: str = ""

    @property
    def workdir(self) -> str:
        """Its folder."""
        return self.settings.run.workdir

    @property
    def method(self) -> str:
        """With what is added to it, and what it has of a grid: "gsda+mcc beta=10". A row of the table."""
        chosen = self.settings.method
        return f"{methods_lib.label(chosen.method, chosen.add)} {self.variant}".rstrip()

    @property
    def title(self) -> str:
        """As messages call it."""
        return f"{self.task} {self.method} seed {self.settings.run.seed}"

    def summary(self) -> dict[str, Any] | None:
        """Its summary.json if it is finished and was made with these very settings, else None."""
        try:
            summary = read_summary(self.workdir)
        except UserError:
            return None  # damaged: the run says so
        if summary is None or "settings" not in summary:
            return None
        wanted = json.loads(json.dumps(self.settings.flat()))
        before = json.loads(json.dumps(summary["settings"]))
        same = all(before.get(name) == value for name, value in wanted.items() if name not in FREE)
        return summary if same and summary["step"] == summary["steps"] else None

    def at_work(self) -> bool:
        """Whether a process has it at work now."""
        try:
            with locked(os.path.join(self.workdir, ".lock"), os.O_RDWR | os.O_NOFOLLOW):
                return False
        except BlockingIOError:
            return True
        except (OSError, UserError):
            return False  # not begun, or not to be begun: the command says why

    def steps_done(self) -> int:
        """The last step that its log tells of, from the end of the file: it is asked for twice a second."""
        try:
            with open_regular(os.path.join(self.workdir, METRICS), 2**40) as file:
                file.seek(max(os.fstat(file.fileno()).st_size - 8192, 0))
                found = re.findall(rb'^\{"step": (\d{1,12})\b', file.read(8192), re.MULTILINE)
        except (OSError, UserError):
            return 0
        return int(found[-1]) if found else 0


@dataclasses.dataclass(frozen=True)
class Failure:
    """A run that did not finish: why, in one line, and where all it said lies."""

    run: Run
    reason: str
    log: str


def own_data(given: Mapping[str, Any]) -> TaskData:
    """Reads which images, lists, arrays or sets of TFDS of the user's own make a task.

    Args:
      given: settings by name, those about data among them.

    Raises:
      UserError: no such data are given, or they are not as expected.
    """
    known = {field.name for field in dataclasses.fields(DataSettings)}
    settings = tasks_lib.resolve({k: v for k, v in given.items() if k in known})
    if settings.data.pipeline == "benchmark":
        raise UserError(
            "--benchmark is missing: give its name, such as --benchmark=digits, or data of your own with --pipeline, "
            "as for the train command."
        )
    return tasks_lib.index(settings.data)


def parse_grid(texts: Sequence[str]) -> dict[str, tuple]:
    """Settings and their values from "NAME:VALUE,VALUE,...".

    Raises:
      UserError: not of that form, no such setting, or one that the sweep gives itself.
    """
    fields = {field.name: field for field in (*settings_fields(), *methods_lib.all_options().values())}
    grid = {}
    for text in texts:
        name, _, values = text.partition(":")
        choose("setting", name, [known for known in fields if known not in _OWN])
        default = fields[name].default
        try:
            grid[name] = tuple(dict.fromkeys(_value(default, value) for value in values.split(",")))
        except (ValueError, KeyError) as error:
            raise UserError(
                f"--grid={text} is not of the form NAME:VALUE,VALUE with values like {defaults.flag(name, default)}."
            ) from error
    return grid


def _value(default: Any, text: str) -> Any:
    if isinstance(default, bool):
        return {"true": True, "false": False}[text]
    return (int(text),) if isinstance(default, tuple) else type(default)(text)


def plan(
    benchmark: str | None,
    tasks: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    given: Mapping[str, Any],
    out: str,
    grid: Mapping[str, Sequence[Any]] | None = None,
) -> list[Run]:
    """All runs of a sweep; those of one seed come before those of the next, so that a table fills up evenly.

    Args:
      benchmark: its name; None for data of the user's own.
      tasks: codes ("A_W"); empty: all. Of the user's own data, the name of `own_data`.
      methods: names, with added terms behind a plus: "gsda+mcc".
      seeds: at least one.
      given: further settings of every run, by name.
      out: folder of the sweep.
      grid: values by setting name. Every combination is a row of its own for each method that has such settings.

    Raises:
      UserError: an unknown name, or a setting that the sweep gives itself.
    """
    grid = grid or {}
    if benchmark is not None:
        known = get_benchmark(benchmark).tasks
        for task in tasks:
            choose(f"task of {benchmark}", task, known)
        tasks = [f"{benchmark}/{task}" for task in tasks or known]
    chosen = {method: methods_lib.split(method) for method in dict.fromkeys(methods)}
    options = {method: Settings(options=methods_lib.options_of(*names)).flat() for method, names in chosen.items()}
    for name in (*given, *grid):
        # An option holds for the methods that have it.
        if methods_lib.owners(name) and not any(name in each for each in options.values()):
            raise UserError(
                f"--{name} is an option of {', '.join(methods_lib.owners(name))}, of which none is in "
                f"--methods={','.join(methods)}: leave --{name} out, or add one."
            )
    for name in (*_OWN, *(("pipeline",) if benchmark else ()), *grid):
        if name in given:
            raise UserError(
                f"--{name} cannot be given to {'this' if name in grid else 'a'} sweep: it follows from --benchmark, "
                "--tasks, --methods, --seeds, --grid and --out."
            )
    runs = []
    for seed in dict.fromkeys(seeds):  # a repeated one is the same run
        for task in dict.fromkeys(tasks):
            for method, (plain, add) in chosen.items():
                for values in _combinations({name: v for name, v in grid.items() if name in options[method]}):
                    variant = " ".join(defaults.flag(*each).lstrip("-").removesuffix(".0") for each in values.items())
                    folder = os.path.join(out, task, method, *variant.replace("/", "-").split(), f"seed{seed}")
                    values.update({name: value for name, value in given.items() if name in options[method]})
                    values.update({"method": plain, "seed": seed, "workdir": folder})
                    values.update({"task": task} if benchmark else {})
                    values.update({"add": add} if add else {})
                    arguments = tuple(defaults.flag(name, value) for name, value in values.items())
                    runs.append(Run(tasks_lib.resolve(values), arguments, task, variant))
    return runs


def check_data(runs: Sequence[Run]) -> None:
    """Makes sure that what is finished was made with the data of now: it is not run again, where `train` would tell.

    Args:
      runs: of the sweep.

    Raises:
      UserError: what differs, and the choices.
    """
    load = functools.lru_cache(tasks_lib.load)
    for run in runs:
        if run.settings.data.pipeline != "benchmark" and run.summary() is not None:
            same_data(load(run.settings.data), read_settings(run.workdir), run.workdir)


def _combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(grid, values)) for values in itertools.product(*grid.values())]


def outlook(runs: Sequence[Run], jobs: int, out: str, labelled: bool) -> list[str]:
    """Says what a sweep is about to do, and what it can and cannot tell, in lines.

    Args:
      runs: of the sweep.
      jobs: at the same time.
      out: its folder.
      labelled: whether the target has labels.
    """
    missing = [run for run in runs if run.summary() is None]
    lines = [f"{len(runs)} runs, {len(runs) - len(missing)} finished before, {jobs} at a time, in {out}"]
    if any(run.settings.model.keeps_features for run in missing):
        lines.append(
            "First the features of the frozen backbone are computed, once for all runs of a task, if they are not kept "
            "from before; the steps that follow take a small part of the time."
        )
    if not labelled:
        lines.append(
            "The target has no labels. This sweep can tell how far methods differ from source only, how far their "
            "seeds agree, and scores that need no label. It cannot tell which method is right: the table of accuracies "
            "stays empty, and scores are highest for some wrong models, too."
        )
    return lines


@contextlib.contextmanager
def claimed(out: str, runs: Sequence[Run]) -> Iterator[None]:
    """Keeps the tables of a folder to the runs of one sweep at a time, and says which runs of another leave them.

    A second sweep of the same runs may go on beside the first.

    Args:
      out: folder of the sweep; made if needed.
      runs: of the sweep.

    Raises:
      BusyError: a sweep of other runs is at work in the folder.
      UserError: its folder of logs is a link, or its list of runs is damaged.
    """
    path, logs = os.path.join(out, "sweep.json"), os.path.join(out, "logs")
    plan = sorted({os.path.relpath(run.workdir, out) for run in runs})
    if os.path.islink(logs):
        raise UserError(f"{logs} is a symbolic link, and nothing is written through one: remove the link.")
    with contextlib.ExitStack() as held:
        with disk_errors(f"writing to {out}"):
            os.makedirs(out, exist_ok=True)
            alone = True
            try:
                held.enter_context(locked(os.path.join(out, ".lock")))
            except BlockingIOError:
                alone = False
        before = _runs_of(path) if os.path.lexists(path) else []
        gone = [name for name in before if name not in plan]
        if not alone and before != plan:
            raise BusyError(f"Another sweep, of other runs, is at work in {out}: wait for it, or give another --out.")
        if gone:
            some = ", ".join(map(printable, gone[:3])) + (", ..." if len(gone) > 3 else "")
            print(
                f"{out} holds the tables of another sweep: {len(gone)} of its runs ({some}) leave the tables, and stay "
                "in their folders. Give another --out to keep its tables.",
                flush=True,
            )
        if alone:
            write_atomically(path, json.dumps({"runs": plan}, indent=2) + "\n")
        yield


def _runs_of(path: str) -> list[str]:
    """Reads which runs, by folder, have made the tables beside a file."""
    with contextlib.suppress(ValueError, RecursionError):
        written = json.loads(read_regular(path, _MOST_JSON))
        if fits(written, {"runs": [str]}):
            return written["runs"]
    raise UserError(f"{path} is damaged: remove it, or give another --out.")


def execute(runs: Sequence[Run], pool: Pool, out: str, finished: Callable[[], None] = lambda: None) -> list[Failure]:
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
    """
    waiting = collections.deque(run for run in runs if run.summary() is None)
    state = _State(len(runs), waiting, pool.width, out)
    working: dict[futures.Future[Ended], Run] = {}
    elsewhere: list[Run] = []
    stopped: collections.Counter[str] = collections.Counter()
    with state.bar:
        try:
            while waiting or working or elsewhere:
                while waiting and len(working) < pool.width:
                    run = waiting.popleft()
                    if run.at_work():
                        tqdm.write(f"{run.title} is at work in another process: waiting for it", file=sys.stderr)
                        elsewhere.append(run)
                    else:
                        working[pool.submit(_task(run, out))] = run
                        state.begun(run)
                for run in [run for run in elsewhere if not run.at_work()]:
                    elsewhere.remove(run)
                    if run.summary() is None:
                        waiting.append(run)
                    else:
                        state.ended(run)
                        finished()
                for future in [future for future in working if future.done()]:
                    run = working.pop(future)
                    ended = _result(future)
                    if run.summary() is None and ended.code == BusyError.exit_code and stopped[run.workdir] < _RETRIES:
                        # Somebody else began with it just before, or its process alone was asked to stop.
                        stopped[run.workdir] += not run.at_work()
                        state.paused(run)
                        waiting.append(run)
                        continue
                    if run.summary() is None:
                        state.failed(Failure(run, f"{ended.said} (exit code {ended.code})", _log(run, out)))
                    state.ended(run)
                    finished()
                state.show()
                futures.wait(working, _POLL_SECONDS, futures.FIRST_COMPLETED) if working else time.sleep(_POLL_SECONDS)
        finally:
            _end(pool, working)
    return state.failures


def _task(run: Run, out: str) -> Task:
    return Task(TRAIN, run.arguments, os.getcwd(), os.path.abspath(_log(run, out)))


def _result(future: futures.Future[Ended]) -> Ended:
    try:
        return future.result()
    except UserError:
        raise
    except futures.CancelledError as error:
        raise WorkerLostError(
            "The scheduler is gone, and its runs stop. When there is one again, the same command goes on from there."
        ) from error
    except Exception as error:  # whatever a worker of another machine may raise: a failure of this run alone
        return Ended(1, f"{type(error).__name__}: {error}".splitlines()[0][:500])


def _log(run: Run, out: str) -> str:
    return os.path.join(out, "logs", re.sub(r"[^A-Za-z0-9]+", "_", run.title) + ".log")


def _end(pool: Pool, working: Mapping[futures.Future, Run]) -> None:
    """Lets runs at work write their checkpoints, if there are any; a second Ctrl-C kills them."""
    if not working:
        return
    tqdm.write(f"Stopping: {len(working)} runs write their checkpoints ...", file=sys.stderr)
    pool.end(Wish.STOP)
    try:
        futures.wait(working)
        deadline = time.monotonic() + STOP_SECONDS  # a cluster's futures do not wait for what they stand for
        while any(run.at_work() for run in working.values()) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        pool.end(Wish.KILL)
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
    return printable(lines[-1])[:80]


class Forecast:
    """How long the rest of a sweep takes, from what its runs took so far.

    A run's time before its first steps (imports, data, and of the first run the features of a frozen backbone) is kept
    apart from its steps, and methods are kept apart, as their steps differ.

    Args:
      width: runs at the same time.
      now: seconds.
    """

    def __init__(self, width: int, now: Callable[[], float] = time.monotonic):
        self._width, self._now = width, now
        self._begun: dict[Run, tuple[float, int]] = {}
        self._first: dict[Run, tuple[float, int]] = {}
        self._last: dict[Run, tuple[float, int]] = {}

    def begun(self, run: Run) -> None:
        """A run begins, or goes on."""
        self._begun[run] = (self._now(), run.steps_done())
        for seen in (self._first, self._last):
            seen.pop(run, None)

    def seen(self, run: Run, steps: int) -> None:
        """A run at work has done so many steps."""
        if run in self._begun and steps > self._last.get(run, self._begun[run])[1]:
            self._last[run] = (self._now(), steps)
            self._first.setdefault(run, self._last[run])

    def ended(self, run: Run) -> None:
        """A run is finished: what came after its last steps counts with them."""
        if run in self._begun:
            self._last[run] = (self._now(), run.settings.optimization.steps)
            self._first.setdefault(run, self._begun[run])

    def left(self, waiting: Collection[Run], working: Collection[Run]) -> float | None:
        """Seconds until all are finished; None before anything is known."""
        rates = {run: r for run in self._last if (r := self._rate(run)) is not None}
        if not rates:
            return None
        starts = [self._first[run][0] - self._begun[run][0] for run in self._first if run in self._begun]
        start = statistics.median_low(starts)
        expected = [start + self._pace(run, rates) * run.settings.optimization.steps for run in waiting]
        for run in working:
            began, done = self._last.get(run, self._begun[run])
            rest = self._pace(run, rates) * (run.settings.optimization.steps - done)
            rest += 0.0 if run in self._last else start
            expected.append(max(rest - (self._now() - began), 0.0))
        return max(sum(expected) / self._width, max(expected, default=0.0))

    def _rate(self, run: Run) -> float | None:
        """Seconds a step."""
        (began, first), (now, last) = self._first[run], self._last[run]
        return (now - began) / (last - first) if last > first else None

    def _pace(self, run: Run, rates: Mapping[Run, float]) -> float:
        alike = [rate for other, rate in rates.items() if other.method == run.method]
        return statistics.fmean([rates[run]] if run in rates else alike or rates.values())


class _State:
    """What is done and what failed, and the progress bar that shows it."""

    def __init__(self, total: int, waiting: Collection[Run], width: int, out: str):
        self._forecast, self._out, self._working = Forecast(width), out, []
        self.failures: list[Failure] = []
        self._total, self._ended = total, total - len(waiting)
        self._steps = {run.workdir: run.settings.optimization.steps for run in waiting}
        self._open = list(waiting)
        self._done = 0
        self.bar = progress(
            total=sum(self._steps.values()),
            initial=self._steps_done(),
            unit="step",
            desc="sweep",
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} steps [{elapsed}{postfix}]",  # the time left is `Forecast`'s
        )

    def begun(self, run: Run) -> None:
        """Takes in that a run begins."""
        self._forecast.begun(run)
        self._working.append(run)

    def ended(self, run: Run) -> None:
        """Takes in that a run is over."""
        self.paused(run)
        if all(failure.run is not run for failure in self.failures):
            self._forecast.ended(run)
        self._open.remove(run)
        self._ended += 1
        self._done += self._steps[run.workdir]

    def failed(self, failure: Failure) -> None:
        """Takes in a failure, and tells it."""
        self.failures.append(failure)
        tqdm.write(f"Failed: {failure.run.title}: {failure.reason}", file=sys.stderr)

    def paused(self, run: Run) -> None:
        """Takes in that a run is not at work any more."""
        if run in self._working:
            self._working.remove(run)

    def show(self) -> None:
        """Brings the bar up to date."""
        done = self._steps_done()
        for run in self._working:
            self._forecast.seen(run, run.steps_done())
        left = self._forecast.left([run for run in self._open if run not in self._working], self._working)
        parts = [f"{self._ended}/{self._total} runs"]
        parts += [f"{len(self.failures)} failed"] if self.failures else []
        parts += [f"about {seconds(round(left))} left"] if left is not None else []
        if self._working and left is None:  # nothing to reckon with yet: what it does now, in its own words
            parts.append(f"{self._working[0].title}: {_last_line(_log(self._working[0], self._out))}")
        self.bar.set_postfix_str(", ".join(parts), refresh=False)
        self.bar.update(done - self.bar.n)

    def _steps_done(self) -> int:
        return self._done + sum(min(run.steps_done(), self._steps[run.workdir]) for run in self._open)
