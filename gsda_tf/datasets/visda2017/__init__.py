"""VisDA-2017: from rendered models to photographs, 12 classes, scored by the mean over classes.

The target is the validation set: trained on without its labels, and scored with them.
"""

from __future__ import annotations

from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.paper import RECIPE
from gsda_tf.datasets.preparing import prepare
from gsda_tf.datasets.visda2017.facts import IMAGE_SET

DOMAINS = {"Sy": "synthetic", "Re": "real"}
_SPLITS = {"Sy": "train", "Re": "validation"}

BENCHMARK = Benchmark(
    name="visda2017",
    title=IMAGE_SET.title,
    domains=DOMAINS,
    class_names=IMAGE_SET.class_names,
    load=lambda code, role, settings: prepare.load_domain(IMAGE_SET.name, _SPLITS[code], DOMAINS[code], settings),
    pairs=(("Sy", "Re"),),
    settings={**RECIPE, "alpha": 0.2, "beta": 10.0, "num_groups": (4,), "steps": 30_000},
    score="mean_class_accuracy",
)
