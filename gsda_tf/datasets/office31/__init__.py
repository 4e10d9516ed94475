"""Office-31: amazon, dslr and webcam pictures of 31 classes."""

from __future__ import annotations

from gsda_tf.data.domain import Domain
from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.office31.facts import IMAGE_SET
from gsda_tf.datasets.paper import RECIPE
from gsda_tf.datasets.preparing import prepare
from gsda_tf.settings import DataSettings

DOMAINS = {"A": "amazon", "W": "webcam", "D": "dslr"}


def load(code: str, role: str, settings: DataSettings) -> Domain:
    """All images of a domain."""
    return prepare.load_domain(IMAGE_SET.name, DOMAINS[code], DOMAINS[code], settings)


BENCHMARK = Benchmark(
    name="office31",
    title=IMAGE_SET.title,
    domains=DOMAINS,
    class_names=IMAGE_SET.class_names,
    load=load,
    settings={**RECIPE, "num_groups": (6,)},
)
