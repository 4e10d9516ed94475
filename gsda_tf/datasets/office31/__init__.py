"""Office-31: 4,110 images of 31 classes of things in an office, in three domains (Saenko et al., 2010).

Its partial form has all 31 source classes, but in the target only the ten that are shared with Caltech-256.
"""

import numpy as np

from gsda_tf.data.domain import DomainData
from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.preparing import prepare
from gsda_tf.datasets.preparing.finding import ImageSet
from gsda_tf.settings import DataSettings

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
_DOMAINS = {"A": "amazon", "W": "webcam", "D": "dslr"}


def _load(code: str, role: str, settings: DataSettings) -> DomainData:
    return prepare.load_domain(IMAGE_SET.name, _DOMAINS[code], _DOMAINS[code], settings)


def _load_partial(code: str, role: str, settings: DataSettings) -> DomainData:
    domain = _load(code, role, settings)
    if role == "source":
        return domain
    shared = [IMAGE_SET.class_names.index(name) for name in CALTECH_CLASSES]
    chosen = np.flatnonzero(np.isin(domain.labels, shared))
    return domain.chosen(chosen)


BENCHMARKS = (
    Benchmark(name="office31", title=IMAGE_SET.title, domains=_DOMAINS, classes=IMAGE_SET.class_names, load=_load),
    Benchmark(
        name="office31_partial",
        title="Office-31 partial",
        domains=_DOMAINS,
        classes=IMAGE_SET.class_names,
        load=_load_partial,
    ),
)
