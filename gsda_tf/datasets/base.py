"""Benchmarks: domains, tasks between them, and the settings that belong to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from gsda_tf.data.domain import Domain, TaskData
from gsda_tf.errors import UserError, choose
from gsda_tf.settings import DataSettings

RECIPE: Mapping[str, Any] = {
    "extractor": "resnet50",
    "weights": "imagenet",
    "image_size": 224,
    "resize_size": 256,
    "steps": 20_000,
}
"""Settings that the paper's benchmarks share: ResNet-50, and the recipe of the field where the paper is silent. Its
alpha and beta for Office-31 and Office-Home are the defaults of GSDA's options."""

Pair = tuple[str, str]
Load = Callable[[str, str, DataSettings], Domain]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A named set of domains that share their classes.

    Attributes:
      name: as in `--task=NAME/...`.
      title: as in tables.
      domains: full name of each domain by its code ("A": "amazon").
      classes: their names, in the order of the labels; or a function that tells them, where asking is slow.
      load: (code, role, settings) -> Domain; role is "source" or "target".
      pairs: the tasks; None: every ordered pair of different domains.
      settings: values, by setting name, that differ from the defaults.
      task_settings: values that differ again for one task, by its name after the slash.
      regimes: values that differ again where a pretrained backbone is "frozen", or "trained", whole or in part.
      score: the accuracy that is reported: "accuracy" or "mean_class_accuracy".
    """

    name: str
    title: str
    domains: Mapping[str, str]
    classes: tuple[str, ...] | Callable[[], tuple[str, ...]]
    load: Load
    pairs: tuple[Pair, ...] | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    score: str = "accuracy"
    task_settings: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    regimes: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def prescribed(self, name: str) -> dict[str, Any]:
        """The settings that belong to the task `name` ("A_W")."""
        return {**self.settings, **self.task_settings.get(name, {})}

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
        source, target = name.split("_")
        return TaskData(
            name=f"{self.name}/{name}",
            source=self.load(source, "source", settings),
            target=self.load(target, "target", settings),
            class_names=self.class_names,
            score=self.score,
        )


def split_task(task: str) -> Pair:
    """("office31", "A_W") of "office31/A_W".

    Raises:
      UserError: not of that form.
    """
    benchmark, slash, name = task.partition("/")
    if not (benchmark and slash and name) or "/" in name:
        raise UserError(f"--task={task!r} is not of the form BENCHMARK/SOURCE_TARGET, such as digits/Fo_Ha.")
    return benchmark, name
