"""Plans the runs of a sweep from its flags, and tells which are finished and what is still to come."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gsda_tf import methods as methods_lib
from gsda_tf import recipes
from gsda_tf.data.domain import TaskData
from gsda_tf.datasets import get_benchmark, loading
from gsda_tf.errors import UserError, choose, explained
from gsda_tf.evaluation.selection import SCORES
from gsda_tf.files import locked, open_regular
from gsda_tf.runs.contents import METRICS, read_summary
from gsda_tf.runs.folder import RunFolder, differences
from gsda_tf.settings import DataSettings, Settings, convert, flag, names
from gsda_tf.settings import fields as settings_fields


@dataclasses.dataclass(frozen=True)
class Trial:
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
        """Its name in messages."""
        return f"{self.task} {self.method} seed {self.settings.run.seed}"

    def summary(self) -> dict[str, Any] | None:
        """Its summary.json if it is finished and was made with these very settings, else None."""
        try:
            summary = read_summary(self.workdir)
        except UserError:
            return None  # damaged: the run says so
        done = summary is not None and summary["step"] == summary["steps"] and summary["score"] in SCORES
        return summary if done and not differences(summary, self.settings.flat()) else None

    def at_work(self) -> bool:
        """Returns whether a process has it at work now."""
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


def own_data(given: Mapping[str, Any]) -> TaskData:
    """Reads which images, lists, arrays or sets of TFDS of the user's own make a task.

    Args:
      given: settings by name, those about data among them.

    Raises:
      UserError: no such data are given, or they are not as expected.
    """
    known = {field.name for field in dataclasses.fields(DataSettings)}
    settings = recipes.resolve({k: v for k, v in given.items() if k in known})
    if settings.data.pipeline == "benchmark":
        raise UserError(
            "--benchmark is missing: give its name, such as --benchmark=digits, or data of your own with --pipeline, "
            "as for the train command."
        )
    return loading.index(settings.data)


def parse_grid(texts: Sequence[str]) -> dict[str, tuple]:
    """Settings and their values from "NAME:VALUE,VALUE,...".

    Raises:
      UserError: not of that form, no such setting, or one that the sweep gives itself.
    """
    fields = {field.name: field for field in (*settings_fields(), *methods_lib.all_options().values())}
    grid = {}
    for text in texts:
        name, _, values = text.partition(":")
        field = fields[choose("setting", name, [known for known in fields if known not in names("swept")])]
        with explained(f"--grid={text}", "Expected the form NAME:VALUE,VALUE.", UserError):
            grid[name] = tuple(dict.fromkeys(convert(field, value) for value in values.split(",")))
    return grid


def plan(
    benchmark: str | None,
    tasks: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    given: Mapping[str, Any],
    out: str,
    grid: Mapping[str, Sequence[Any]] | None = None,
) -> list[Trial]:
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
        tasks = [f"{benchmark}/{choose(f'task of {benchmark}', task, known)}" for task in tasks or known]
    chosen = {method: methods_lib.split(method) for method in dict.fromkeys(methods)}
    options = {method: Settings(options=methods_lib.options_of(*names)).flat() for method, names in chosen.items()}
    for name in (*given, *grid):
        # An option holds for the methods that have it.
        if methods_lib.owners(name) and not any(name in each for each in options.values()):
            raise UserError(
                f"--{name} is an option of {', '.join(methods_lib.owners(name))}, of which none is in "
                f"--methods={','.join(methods)}: leave --{name} out, or add one."
            )
    if twice := sorted(grid.keys() & given.keys()):
        raise UserError(f"--{twice[0]} is in --grid, too: leave one of them out.")
    runs = []
    for seed in dict.fromkeys(seeds):  # a repeated one is the same run
        for task in dict.fromkeys(tasks):
            for method, (plain, add) in chosen.items():
                own = {name: v for name, v in grid.items() if name in options[method]}
                for combination in itertools.product(*own.values()):
                    values = dict(zip(own, combination))
                    variant = " ".join(flag(*each).lstrip("-").removesuffix(".0") for each in values.items())
                    folder = os.path.join(out, task, method, *variant.replace("/", "-").split(), f"seed{seed}")
                    values.update({name: value for name, value in given.items() if name in options[method]})
                    values.update({"method": plain, "seed": seed, "workdir": folder})
                    values.update({"task": task} if benchmark else {})
                    values.update({"add": add} if add else {})
                    arguments = tuple(flag(name, value) for name, value in values.items())
                    runs.append(Trial(recipes.resolve(values), arguments, task, variant))
    return runs


def check_data(runs: Sequence[Trial]) -> None:
    """Makes sure that what is finished was made with the data of now: it is not run again, where `train` would tell.

    Args:
      runs: of the sweep.

    Raises:
      UserError: what differs, and the choices.
    """
    load = functools.lru_cache(loading.load)
    for run in runs:
        if run.settings.data.pipeline != "benchmark" and run.summary() is not None:
            RunFolder(run.workdir).same(run.settings, load(run.settings.data))


def outlook(runs: Sequence[Trial], jobs: int, out: str, labelled: bool) -> list[str]:
    """Says what a sweep is about to do, and what it can and cannot tell, in lines.

    Args:
      runs: of the sweep.
      jobs: at the same time.
      out: its folder.
      labelled: whether the target has labels.
    """
    missing = [run for run in runs if run.summary() is None]
    lines = [f"{len(runs)} runs, {len(runs) - len(missing)} finished before, {jobs} at a time, in {out}"]
    if os.path.exists(os.path.join(out, "results.csv")):
        lines.append("Its tables are made anew, of these runs alone; those of another sweep stay in their folders.")
    if any(run.settings.model.keeps_features for run in missing):
        lines.append(
            "First the features of the frozen backbone are computed, once for all runs of a task, if they are not kept "
            "from before. The time left is told as soon as steps are done."
        )
    if not labelled:
        lines.append(
            "The target has no labels. This sweep can tell how far methods differ from source only, how far their "
            "seeds agree, an estimate for their common answer, and how far apart the domains are. It cannot tell which "
            "method is right: the table of accuracies stays empty. --method=auto estimates that, and chooses."
        )
    return lines
