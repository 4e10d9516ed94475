"""So many classes that critics for each class take most of a step.

With 1,000 classes GSDA's critics of 256-256 take 3.5 GiB and 1.7 seconds of a core a step on features, critics of 64 a
fifth (BUILD.md, "How cost grows").
"""

import functools
import os

from gsda_tf.datasets import get_benchmark, split_task
from gsda_tf.datasets.own.arrays import class_count
from gsda_tf.datasets.own.lists import read_list
from gsda_tf.recipes.layers import Holding, regime
from gsda_tf.settings import several

FROM = 500


@functools.lru_cache(maxsize=4)  # settings are folded for every candidate and every run of a sweep
def _labels(path: str, changed: int) -> int:
    return len(read_list(path).labels)


_COUNTED = {
    "folders": ("source_dir", lambda path: len(next(os.walk(path), ("", ()))[1])),
    "lists": ("source_list", lambda path: _labels(path, os.stat(path).st_mtime_ns)),
    "arrays": ("source", class_count),
}
"""By pipeline: the setting that names sources, and how many classes are in one of them."""


def layer(now: Holding) -> None:
    """Takes what a method says of very many classes, as far as these can be counted before anything is read."""
    if now["recipe"] != "paper" and (count := _classes(now)) >= FROM:
        regime(now, "many_classes", {}, f"{count:,} classes have a critic each")


def _classes(now: Holding) -> int:
    """How many classes there are: of a benchmark, or the most that a source of one's own names; 0 where it is not
    known, as of TFDS before it is prepared."""
    if not now.own:
        return len(get_benchmark(split_task(now["task"])[0]).class_names)
    place, count = _COUNTED.get(now["pipeline"], ("", None))
    return max((count(path) for path in several(now.get(place, "")) if os.path.exists(path)), default=0)
