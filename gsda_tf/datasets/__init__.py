"""The data sets, each with its facts, its TFDS builder, its benchmarks and what others published on it.

To add one: a file, or a folder with `NAME_dataset_builder.py` in it, whose `BENCHMARKS` lists what it offers.
"""

import importlib
import pkgutil

from gsda_tf.datasets.base import Benchmark, split_task
from gsda_tf.errors import choose


def get_benchmark(name: str) -> Benchmark:
    """The benchmark called `name`.

    Raises:
      UserError: naming the choices.
    """
    return BENCHMARKS[choose("benchmark", name, BENCHMARKS)]


BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for found in pkgutil.iter_modules(__path__, f"{__name__}.")
    for benchmark in getattr(importlib.import_module(found.name), "BENCHMARKS", ())
}

__all__ = ["BENCHMARKS", "Benchmark", "get_benchmark", "split_task"]
