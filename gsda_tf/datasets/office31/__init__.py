"""Office-31: 4,110 images of 31 classes of things in an office, in three domains (Saenko et al., 2010).

Its partial form has all 31 source classes, but in the target only the ten that are shared with Caltech-256. Its open
form has these ten in both, and in the target besides the last eleven of the others in alphabetical order, as unknown.
"""

from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.preparing import prepare
from gsda_tf.datasets.preparing.finding import ImageSet

IMAGE_SET = ImageSet.beside(
    __file__,
    title="Office-31",
    domains={"amazon": ("amazon",), "dslr": ("dslr",), "webcam": ("webcam",)},
    archives="domain_adaptation_images.tar.gz",
    home="https://faculty.cc.gatech.edu/~judy/domainadapt/",
)
CALTECH_CLASSES = (
    "back_pack", "bike", "calculator", "headphones", "keyboard", "laptop_computer", "monitor", "mouse", "mug",
    "projector",
)  # fmt: skip
_UNKNOWN_CLASSES = tuple(sorted(set(IMAGE_SET.class_names) - set(CALTECH_CLASSES))[-11:])
_DOMAINS = {"A": "amazon", "W": "webcam", "D": "dslr"}


_FACTS = {"domains": _DOMAINS, "classes": IMAGE_SET.class_names, "load": prepare.loader("office31", _DOMAINS)}
_OPEN = {"source_classes": CALTECH_CLASSES, "target_classes": CALTECH_CLASSES + _UNKNOWN_CLASSES}
BENCHMARKS = (
    Benchmark("office31", IMAGE_SET.title, **_FACTS),
    Benchmark("office31_partial", "Office-31 partial", **_FACTS, target_classes=CALTECH_CLASSES),
    Benchmark("office31_open", "Office-31 open", **_FACTS, **_OPEN),
)
