"""Office-Home: 15,588 art, clip art, product pictures and photographs of 65 classes (Venkateswara et al., 2017)."""

from __future__ import annotations

from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.preparing import prepare
from gsda_tf.datasets.preparing.image_set import ImageSet

IMAGE_SET = ImageSet.beside(
    __file__,
    title="Office-Home",
    domains={"art": ("Art",), "clipart": ("Clipart",), "product": ("Product",), "real_world": ("Real World",)},
    archives="OfficeHomeDataset_10072016.zip",
    home="https://www.hemanthdv.org/officeHomeDataset.html",
)
_DOMAINS = {"Ar": "art", "Cl": "clipart", "Pr": "product", "Rw": "real_world"}

BENCHMARKS = (
    Benchmark(
        name="office_home",
        title=IMAGE_SET.title,
        domains=_DOMAINS,
        classes=IMAGE_SET.class_names,
        load=lambda code, role, settings: prepare.load_domain("office_home", _DOMAINS[code], _DOMAINS[code], settings),
    ),
)
