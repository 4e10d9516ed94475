"""From settings to the task: which pipeline loads it, and which settings the task prescribes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from gsda_tf import methods
from gsda_tf.contradictions import check_given
from gsda_tf.data.cache import cached
from gsda_tf.data.checking import check_images
from gsda_tf.data.domain import TaskData
from gsda_tf.data.folders import load_folders
from gsda_tf.data.lists import load_lists
from gsda_tf.data.verdicts import kept_in
from gsda_tf.datasets import get_benchmark, split_task
from gsda_tf.errors import UserError, choose
from gsda_tf.settings import DataSettings, Settings


def _load_benchmark(settings: DataSettings) -> TaskData:
    benchmark, name = split_task(settings.task)
    return get_benchmark(benchmark).task(name, settings)


# To add a way of bringing images: a function from settings to TaskData, and a line here.
PIPELINES: dict[str, Callable[[DataSettings], TaskData]] = {
    "benchmark": _load_benchmark,
    "folders": load_folders,
    "lists": load_lists,
}


def resolve(given: Mapping[str, Any]) -> Settings:
    """Settings of a run: defaults, then what the benchmark and the method prescribe, then what the user gave.

    Args:
      given: values by setting name, only those that the user gave.

    Raises:
      UserError: an unknown name, a value out of range, or values that contradict one another.
    """
    settings = _blank(given)
    chosen = {name: given[name] for name in ("method", "add") if name in given}
    _check_options(given, settings.replace(chosen))
    settings = settings.replace(given)
    method, add = settings.method.method, settings.method.add
    kind = methods.get_method(method)
    values: dict[str, Any] = {}
    if settings.data.pipeline == "benchmark":
        benchmark, name = split_task(settings.data.task)
        of_benchmark = get_benchmark(benchmark)
        choose(f"task of {benchmark}", name, of_benchmark.tasks)
        # What belongs to another method's options is not for this one.
        known = settings.flat()
        values = {k: v for k, v in of_benchmark.prescribed(name).items() if k in known}
        values.update(methods.prescribed(method, add, benchmark))
    if not (kind.pseudo_labels or kind.observes):
        values["pseudo_label_period"] = 0
    if kind.entropy_option and any(term.replaces_entropy for term in methods.get_terms(add)):
        values[kind.entropy_option] = 0.0
    settings = _blank(given).replace({**values, **given})
    check_given(given, settings)
    return settings


def written(values: Mapping[str, Any]) -> Settings:
    """The settings of a run from what its folder holds: all of them, by name, as JSON gives them."""
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return _blank(values).replace(values)


def with_method(settings: Settings, method: str) -> Settings:
    """The same settings for another method; options that both have keep their values."""
    before, values = settings.flat(), {"method": method, "add": ()}
    options = methods.options_of(method)
    values.update({f.name: before[f.name] for f in dataclasses.fields(options) if f.name in before})
    return dataclasses.replace(settings, options=options).replace(values)


def _blank(values: Mapping[str, Any]) -> Settings:
    default = Settings()
    method, add = (values.get(name, getattr(default.method, name)) for name in ("method", "add"))
    return dataclasses.replace(default, options=methods.options_of(method, add))


def _check_options(given: Mapping[str, Any], settings: Settings) -> None:
    """Refuses options of methods that are not the run's."""
    for name in given:
        owners = [] if name in settings.flat() else methods.owners(name)
        if owners:
            raise UserError(
                f"--{name} is an option of {', '.join(owners)}, but --method="
                f"{methods.label(settings.method.method, settings.method.add)}: leave it out, or choose one of these."
            )


def index(settings: DataSettings) -> TaskData:
    """Loads the images' index and labels; no image is looked at.

    Raises:
      UserError: the data are not there or not as expected.
    """
    return PIPELINES[choose("pipeline", settings.pipeline, PIPELINES)](settings)


def load(settings: DataSettings) -> TaskData:
    """`index`, and a look at the head and end of every image file; pixels are read during training.

    Raises:
      UserError: the data are not there or not as expected; with `on_bad_image` "error", a file is no image.
    """
    return cached(check_images(index(settings), settings.on_bad_image, kept_in(settings)), settings)
