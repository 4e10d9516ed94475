"""VisDA-2017, classification: 12 classes, from rendered models to photographs (Peng et al., 2017).

Scored by the mean over classes. The target is the validation set: trained on without its labels, and scored with them.
"""

from __future__ import annotations

from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.preparing import prepare
from gsda_tf.datasets.preparing.image_set import ImageSet

IMAGE_SET = ImageSet.beside(
    __file__,
    title="VisDA-2017",
    domains={"train": ("train",), "validation": ("validation", "val")},
    archives="train.tar and validation.tar of the classification track",
    home="https://github.com/VisionLearningGroup/taskcv-2017-public",
)
_DOMAINS = {"Sy": "synthetic", "Re": "real"}
_SPLITS = {"Sy": "train", "Re": "validation"}

BENCHMARKS = (
    Benchmark(
        name="visda2017",
        title=IMAGE_SET.title,
        domains=_DOMAINS,
        classes=IMAGE_SET.class_names,
        load=lambda code, role, settings: prepare.load_domain("visda2017", _SPLITS[code], _DOMAINS[code], settings),
        pairs=(("Sy", "Re"),),
        score="mean_class_accuracy",
    ),
)
