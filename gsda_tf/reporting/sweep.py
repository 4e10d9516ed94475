"""Many runs of the train command: what is missing is run, several at a time, and a failure stops only itself."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from gsda_tf import tasks as tasks_lib
from gsda_tf.datasets import get_benchmark
from gsda_tf.errors import UserError, choose
from gsda_tf.files import disk_errors
from gsda_tf.methods import get_method
from gsda_tf.settings import Settings, completed
from gsda_tf.training.checkpoints import FREE

_POLL_SECONDS = 0.5
_STOP_SECONDS = 120.0
"""How long a run may take to write its checkpoint when the sweep is stopped."""
_OWN = ("task", "method", "seed", "workdir", "pipeline")
"""Settings that the sweep gives to each run itself."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of the sweep.

    Attributes:
      settings: resolved, as the train command resolves them.
      arguments: of the train command.
    """

    settings: Settings
    arguments: tuple[str, ...]

    @property
    def workdir(self) -> str:
        """Its folder."""
        return self.settings.run.workdir

    @property
    def title(self) -> str:
        """As messages call it."""
        return f"{self.settings.data.task} {self.settings.method.method} seed {self.settings.run.seed}"

    def summary(self) -> dict[str, Any] | None:
        """Its summary.json if it is finished and was made with these very settings, else None."""
        try:
            with open(os.path.join(self.workdir, "summary.json"), encoding="utf-8") as file:
                summary = json.load(file)
        except (OSError, json.JSONDecodeError):
            return None
        wanted = json.loads(json.dumps(self.settings.flat()))
        before = json.loads(json.dumps(completed(summary.get("settings", {}))))
        same = all(before.get(name) == value for name, value in wanted.items() if name not in FREE)
        return summary if same and summary.get("step") == summary.get("steps") else None

    def steps_done(self) -> int:
        """The last step that its log tells of, from the end of the file: it is asked for twice a second."""
        try:
            with open(os.path.join(self.workdir, "metrics.jsonl"), "rb") as file:
                file.seek(max(os.fstat(file.fileno()).st_size - 8192, 0))
                found = re.findall(rb'^\{"step": (\d+)', file.read(), re.MULTILINE)
        except OSError:
            return 0
        return int(found[-1]) if found else 0


@dataclasses.dataclass(frozen=True)
class Failure:
    """A run that did not finish: why, in one line, and where all it said lies."""

    run: Run
    reason: str
    log: str


def plan(
    benchmark: str,
    tasks: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    given: Mapping[str, Any],
    out: str,
) -> list[Run]:
    """All runs of a sweep; those of one seed come before those of the next, so that a table fills up evenly.

    Args:
      benchmark: its name.
      tasks: codes ("A_W"); empty: all.
      methods: names.
      seeds: at least one.
      given: further settings of every run, by name.
      out: folder of the sweep.

    Raises:
      UserError: an unknown name, or a setting that the sweep gives itself.
    """
    known = get_benchmark(benchmark).tasks
    for task in tasks:
        choose(f"task of {benchmark}", task, known)
    for method in methods:
        get_method(method)
    for name in _OWN:
        if name in given:
            raise UserError(
                f"--{name} cannot be given to a sweep: it follows from --benchmark, --tasks, --methods, --seeds and "
                "--out."
            )
    runs = []
    for seed in dict.fromkeys(seeds):  # a repeated one is the same run
        for task in dict.fromkeys(tasks or known):
            for method in dict.fromkeys(methods):
                folder = os.path.join(out, benchmark, task, method, f"seed{seed}")
                own = {"task": f"{benchmark}/{task}", "method": method, "seed": seed, "workdir": folder}
                values = {**given, **own}
                runs.append(Run(tasks_lib.resolve(values), tuple(_argument(k, v) for k, v in values.items())))
    return runs


def _argument(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"


def execute(runs: Sequence[Run], jobs: int, out: str, finished: Callable[[], None] = lambda: None) -> list[Failure]:
    """Runs what is missing.

    On Ctrl-C or SIGTERM the runs at work are asked to checkpoint and stop; the same sweep goes on from there.

    Args:
      runs: of the sweep; finished ones are passed over.
      jobs: how many run at the same time.
      out: folder of the sweep; what each run says goes to `out`/logs.
      finished: called after each run that ended.

    Returns:
      The runs that failed.

    Raises:
      KeyboardInterrupt: the sweep was stopped; all its runs have ended.
    """
    waiting = [run for run in runs if run.summary() is None]
    steps = {run.workdir: run.settings.optimization.steps for run in waiting}
    done = {run.workdir: min(run.steps_done(), steps[run.workdir]) for run in waiting}
    working: dict[Run, _Process] = {}
    failures: list[Failure] = []
    ended = len(runs) - len(waiting)
    bar = tqdm(
        total=sum(steps.values()),
        initial=sum(done.values()),
        unit="step",
        desc="sweep",
        dynamic_ncols=True,
        smoothing=0,  # time left by the mean rate: runs start slowly and differ in speed
        mininterval=0.1 if sys.stderr.isatty() else 60,  # a log file keeps every line, for days
    )
    with _terminable(), bar:
        try:
            while waiting or working:
                while waiting and len(working) < jobs:
                    run = waiting.pop(0)
                    working[run] = _Process(run, out, jobs)
                for run in [run for run, process in working.items() if process.code() is not None]:
                    process = working.pop(run)
                    done[run.workdir] = steps[run.workdir]
                    ended += 1
                    if run.summary() is None:
                        failures.append(Failure(run, process.reason(), process.log))
                        tqdm.write(f"Failed: {run.title}: {failures[-1].reason}", file=sys.stderr)
                    finished()
                done.update({run.workdir: min(run.steps_done(), steps[run.workdir]) for run in working})
                state = f"{ended}/{len(runs)} runs" + (f", {len(failures)} failed" if failures else "")
                bar.set_postfix_str(state, refresh=False)
                bar.update(sum(done.values()) - bar.n)
                if working:
                    time.sleep(_POLL_SECONDS)
        finally:
            _stop(working)
    return failures


class _Process:
    """A train command at work.

    It gets a session of its own: a Ctrl-C at the terminal then reaches the sweep alone, which passes it on once.
    """

    def __init__(self, run: Run, out: str, jobs: int):
        name = re.sub(r"[^A-Za-z0-9]+", "_", run.title)
        self.log = os.path.join(out, "logs", f"{name}.log")
        environment = dict(os.environ)
        if jobs > 1:  # share the cores rather than fight for them
            threads = str(max(1, (os.cpu_count() or 1) // jobs))
            for variable in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
                environment.setdefault(variable, threads)
        with disk_errors(f"writing to {out}"):
            os.makedirs(os.path.dirname(self.log), exist_ok=True)
            with open(self.log, "wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "launch.train", *run.arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )

    def code(self) -> int | None:
        """Exit code, None while it runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Lets it finish its steps at hand and checkpoint."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def end(self, seconds: float) -> None:
        """Waits, then kills."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def reason(self) -> str:
        """Why it failed: the command's own last error, or the last thing it said."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in re.split(r"[\r\n]+", file.read()) if line.strip()]
        errors = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception)\b.*:", line)]
        said = (errors or lines or ["it said nothing"])[-1]
        return f"{said.removeprefix('Error: ')[:500]} (exit code {self.code()})"


def _stop(working: Mapping[Run, _Process]) -> None:
    if not working:
        return
    tqdm.write(f"Stopping: {len(working)} runs write their checkpoints ...", file=sys.stderr)
    for process in working.values():
        process.ask_to_stop()
    deadline = time.monotonic() + _STOP_SECONDS
    try:
        for process in working.values():
            process.end(max(0.0, deadline - time.monotonic()))
    except KeyboardInterrupt:  # a second Ctrl-C: at once
        for process in working.values():
            process.end(0.0)
        raise


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Makes SIGTERM do what Ctrl-C does."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
