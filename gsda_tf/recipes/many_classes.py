"""So many classes that critics for each class take most of a step.

With 1,000 classes GSDA's critics of 256-256 take 3.5 GiB and 1.7 seconds of a core a step on features, critics of 64 a
fifth (BUILD.md, "How cost grows").
"""

import os

from gsda_tf.datasets import get_benchmark, split_task
from gsda_tf.datasets.own.arrays import class_count
from gsda_tf.recipes.layers import Holding, regime
from gsda_tf.settings import several

FROM = 500


def layer(now: Holding) -> None:
    """Takes what a method says of very many classes, as far as these can be counted before anything is read."""
    if now["recipe"] != "paper" and (count := _classes(now)) >= FROM:
        regime(now, "many_classes", {}, f"{count:,} classes have a critic each")


def _classes(now: Holding) -> int:
    """How many classes there are: of a benchmark, or the folders or arrays of a source; 0 where it is not known."""
    if not now.own:
        return len(get_benchmark(split_task(now["task"])[0]).class_names)
    if now["pipeline"] == "arrays":
        return max((class_count(path) for path in several(now["source"]) if os.path.isfile(path)), default=0)
    folders = [path for path in several(now["source_dir"]) if os.path.isdir(path)]
    return max((sum(os.path.isdir(entry) for entry in os.scandir(path)) for path in folders), default=0)
