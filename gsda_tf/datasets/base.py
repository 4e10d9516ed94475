"""Benchmarks: domains, and tasks between them. The settings that belong to them stand in gsda_tf/recipes/."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.errors import UserError, choose
from gsda_tf.settings import DataSettings

Pair = tuple[str, str]
Load = Callable[[str, DataSettings], DomainData]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A named set of domains that share their classes.

    Attributes:
      name: as in `--task=NAME/...`.
      title: as in tables.
      domains: full name of each domain by its code ("A": "amazon").
      classes: their names, in the order of the labels; or a function that tells them, where asking is slow.
      load: (code, settings) -> DomainData.
      pairs: the tasks; None: every ordered pair of different domains.
      score: the accuracy that is reported: "accuracy" or "mean_class_accuracy".
      source_classes: those that the source has, of an open benchmark; (): all.
      target_classes: those that the target has, of a partial or an open one; (): all.
    """

    name: str
    title: str
    domains: Mapping[str, str]
    classes: tuple[str, ...] | Callable[[], tuple[str, ...]]
    load: Load
    pairs: tuple[Pair, ...] | None = None
    score: str = "accuracy"
    source_classes: tuple[str, ...] = ()
    target_classes: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of all classes, in the order of the labels."""
        return self.classes() if callable(self.classes) else self.classes

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names after the slash: "A_W", "A_D", ..."""
        pairs = self.pairs or tuple((s, t) for s in self.domains for t in self.domains if s != t)
        return tuple(f"{s}_{t}" for s, t in pairs)

    def task(self, name: str, settings: DataSettings) -> TaskData:
        """Loads the task `name` ("A_W").

        Raises:
          UserError: no such task, or its data are not there.
        """
        choose(f"task of {self.name}", name, self.tasks)
        domains = []
        for code, some in zip(name.split("_"), (self.source_classes, self.target_classes)):
            domain, chosen = self.load(code, settings), [self.class_names.index(each) for each in some]
            domains.append(domain.chosen(np.flatnonzero(np.isin(domain.labels, chosen))) if some else domain)
        return TaskData(f"{self.name}/{name}", *domains, self.class_names, self.score)


def split_task(task: str) -> Pair:
    """("office31", "A_W") of "office31/A_W".

    Raises:
      UserError: not of that form.
    """
    benchmark, slash, name = task.partition("/")
    if not (benchmark and slash and name) or "/" in name:
        raise UserError(f"--task={task!r} is not of the form BENCHMARK/SOURCE_TARGET, such as digits/Fo_Ha.")
    return benchmark, name
