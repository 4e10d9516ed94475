"""The benchmarks by name. To add one: a file that defines a `Benchmark`, and a line here."""

from __future__ import annotations

from gsda_tf.datasets import digits, domainnet, office31, office_home, visda2017
from gsda_tf.datasets.base import Benchmark, split_task
from gsda_tf.datasets.office31 import partial as office31_partial
from gsda_tf.errors import choose

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        digits.BENCHMARK,
        office31.BENCHMARK,
        office31_partial.BENCHMARK,
        office_home.BENCHMARK,
        visda2017.BENCHMARK,
        domainnet.BENCHMARK,
    )
}


def get_benchmark(name: str) -> Benchmark:
    """The benchmark called `name`.

    Raises:
      UserError: naming the choices.
    """
    return BENCHMARKS[choose("benchmark", name, BENCHMARKS)]


__all__ = ["BENCHMARKS", "Benchmark", "get_benchmark", "split_task"]
