"""From settings to the task: which pipeline loads it, and which settings the task prescribes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gsda_tf.contradictions import check_given
from gsda_tf.data.cache import cached
from gsda_tf.data.checking import check_images
from gsda_tf.data.domain import TaskData
from gsda_tf.data.folders import load_folders
from gsda_tf.data.lists import load_lists
from gsda_tf.data.verdicts import kept_in
from gsda_tf.datasets import get_benchmark, split_task
from gsda_tf.errors import choose
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
    """Settings of a run: defaults, then what the benchmark prescribes, then what the user gave.

    Args:
      given: values by setting name, only those that the user gave.

    Raises:
      UserError: an unknown name, a value out of range, or values that contradict one another.
    """
    settings = Settings().replace(given)
    if settings.data.pipeline == "benchmark":
        benchmark, name = split_task(settings.data.task)
        prescribed = get_benchmark(benchmark)
        choose(f"task of {benchmark}", name, prescribed.tasks)
        settings = Settings().replace({**prescribed.prescribed(name), **given})
    check_given(given, settings)
    return settings


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
