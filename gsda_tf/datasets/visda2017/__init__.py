"""VisDA-2017, classification: 12 classes, from rendered models to photographs (Peng et al., 2017).

Scored by the mean over classes. The target is the validation set: trained on without its labels, and scored with them.
"""

from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.preparing import prepare
from gsda_tf.datasets.preparing.finding import ImageSet

IMAGE_SET = ImageSet.beside(
    __file__,
    title="VisDA-2017",
    domains={"train": ("train",), "validation": ("validation", "val")},
    archives="train.tar and validation.tar of the classification track",
    home="https://github.com/VisionLearningGroup/taskcv-2017-public",
)
_DOMAINS = {"Sy": "synthetic", "Re": "real"}
_LOAD = prepare.loader("visda2017", _DOMAINS, {"Sy": "train", "Re": "validation"})
BENCHMARKS = (
    Benchmark(
        "visda2017", IMAGE_SET.title, _DOMAINS, IMAGE_SET.class_names, _LOAD, (("Sy", "Re"),), "mean_class_accuracy"
    ),
)
