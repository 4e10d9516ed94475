"""Office-Home: 15,588 art, clip art, product pictures and photographs of 65 classes (Venkateswara et al., 2017)."""

from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.preparing import prepare
from gsda_tf.datasets.preparing.finding import ImageSet

IMAGE_SET = ImageSet.beside(
    __file__,
    title="Office-Home",
    domains={"art": ("Art",), "clipart": ("Clipart",), "product": ("Product",), "real_world": ("Real World",)},
    archives="OfficeHomeDataset_10072016.zip",
    home="https://www.hemanthdv.org/officeHomeDataset.html",
)
_DOMAINS = {"Ar": "art", "Cl": "clipart", "Pr": "product", "Rw": "real_world"}


BENCHMARKS = (
    Benchmark("office_home", IMAGE_SET.title, _DOMAINS, IMAGE_SET.class_names, prepare.loader("office_home", _DOMAINS)),
)
