"""From settings to the task: which pipeline loads it, and which settings the task prescribes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gsda_tf import defaults, methods
from gsda_tf.contradictions import PIPELINE_OF, check_given
from gsda_tf.data.cache import cached
from gsda_tf.data.check_cache import kept_in
from gsda_tf.data.checking import check_images
from gsda_tf.data.domain import TaskData
from gsda_tf.data.fingerprint import with_classes
from gsda_tf.data.image_files import LEAST_SIDE
from gsda_tf.datasets import get_benchmark, split_task
from gsda_tf.datasets.own import arrays
from gsda_tf.datasets.own.folders import load_folders
from gsda_tf.datasets.own.lists import load_lists
from gsda_tf.datasets.own.tfds import load_tfds
from gsda_tf.errors import UserError, choose
from gsda_tf.runs.initial import inherited
from gsda_tf.settings import DataSettings, Settings, absolute, is_array_file


def _load_benchmark(settings: DataSettings) -> TaskData:
    benchmark, name = split_task(settings.task)
    return get_benchmark(benchmark).task(name, settings)


# To add a way of bringing images: a function from settings to TaskData, and a line here.
PIPELINES: dict[str, Callable[[DataSettings], TaskData]] = {
    "benchmark": _load_benchmark,
    "folders": load_folders,
    "lists": load_lists,
    "arrays": arrays.load_arrays,
    "tfds": load_tfds,
}


def resolve(given: Mapping[str, Any]) -> Settings:
    """Settings of a run: defaults, then what the benchmark and the method prescribe, then what follows from these and
    from what the user gave, which stands above all.

    Args:
      given: values by setting name, only those that the user gave.

    Raises:
      UserError: an unknown name, a value out of range, or values that contradict one another.
    """
    return _resolve(given)[0]


def chosen(given: Mapping[str, Any]) -> str:
    """Which settings `resolve` chose by itself, and why; "" if none."""
    return defaults.described(_resolve(given)[1])


def _resolve(given: Mapping[str, Any]) -> tuple[Settings, defaults.Choices]:
    given = absolute(given)
    if "pipeline" not in given:  # where the images are said to be tells it, too
        told = (pipelines for name, pipelines in PIPELINE_OF.items() if name != "task" and given.get(name))
        pipelines = next(told, ("benchmark",))
        given["pipeline"] = pipelines[0 if len(pipelines) == 1 or is_array_file(given.get("source", "")) else 1]
    blank = _blank(given)
    named = {name: given[name] for name in ("method", "add", "pipeline", "task") if name in given}
    settings = blank.replace(named)
    _check_options(given, settings)
    method, add = settings.method.method, settings.method.add
    kind = methods.get_method(method)
    known, values = settings.flat(), {}
    of_task: Mapping[str, Any] = {}
    regimes: Mapping[str, Mapping[str, Any]] = {}
    if settings.data.pipeline == "benchmark":
        benchmark, name = split_task(settings.data.task)
        of_benchmark = get_benchmark(benchmark)
        choose(f"task of {benchmark}", name, of_benchmark.tasks)
        of_task, regimes = of_benchmark.prescribed(name), of_benchmark.regimes
        values = methods.prescribed(method, add, benchmark)
    else:
        values["task"] = ""
    if not (kind.pseudo_labels or kind.observes):
        values["pseudo_label_period"] = 0
    if kind.discriminator_rate is not None:
        values["discriminator_rate"] = kind.discriminator_rate
    if kind.entropy_option and any(term.replaces_entropy for term in methods.get_terms(add)):
        values[kind.entropy_option] = 0.0

    def rest(wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Of the benchmark's what is for this method, and what it does not set itself."""
        return {k: v for k, v in wanted.items() if k in known and k not in values}

    regimes = {regime: rest(wanted) for regime, wanted in regimes.items()}
    values = {**rest(of_task), **values}
    blank = blank.replace(values)
    fixed = {**(inherited(given["init_from"]) if given.get("init_from") else {}), **given}
    for name, other in (("freeze_backbone", "train_from"), ("train_from", "freeze_backbone")):
        if given.get(name) and other not in given:  # what the other run froze
            fixed.pop(other, None)
    if settings.data.pipeline == "arrays":
        fixed.update(arrays.prescribed(given))
    choices = defaults.follow(fixed, blank, values, regimes)
    settings = blank.replace({**{k: value for k, (value, _) in choices.items()}, **fixed})
    check_given(given, settings)
    return settings, choices


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
    data = PIPELINES[choose("pipeline", settings.pipeline, PIPELINES)](settings)
    if settings.resize_size <= LEAST_SIDE:
        return data
    remark = (
        f"--resize_size={settings.resize_size}: files other than JPEG and PNG, or turned by EXIF orientation, are "
        f"halved while both sides keep {LEAST_SIDE:,} pixels."
    )
    return dataclasses.replace(data, remarks=(*data.remarks, remark))


def load(settings: DataSettings, class_names: Sequence[str] | None = None) -> TaskData:
    """`index`, and a look at the head and end of every image file; pixels are read during training.

    Args:
      settings: where the data are.
      class_names: of a run, whose names belong to its weights; None: those of the data.

    Raises:
      UserError: the data are not there or not as expected; with `on_bad_image` "error", a file is no image; a class
        is none of `class_names`.
    """
    data = index(settings)
    if class_names is not None:
        data = with_classes(data, class_names)
    return cached(check_images(data, settings.on_bad_image, kept_in(settings)), settings)
