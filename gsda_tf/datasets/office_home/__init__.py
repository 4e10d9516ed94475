"""Office-Home: art, clip art, product pictures and photographs of 65 classes."""

from __future__ import annotations

from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.office_home.facts import IMAGE_SET
from gsda_tf.datasets.paper import RECIPE
from gsda_tf.datasets.preparing import prepare

DOMAINS = {"Ar": "art", "Cl": "clipart", "Pr": "product", "Rw": "real_world"}

BENCHMARK = Benchmark(
    name="office_home",
    title=IMAGE_SET.title,
    domains=DOMAINS,
    class_names=IMAGE_SET.class_names,
    load=lambda code, role, settings: prepare.load_domain(IMAGE_SET.name, DOMAINS[code], DOMAINS[code], settings),
    settings={**RECIPE, "num_groups": (13,), "steps": 30_000},
)
