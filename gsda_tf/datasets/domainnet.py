"""DomainNet: six domains of 345 classes, from the TFDS catalogue.

Source and target are the published training splits; the target's labels only score the result. (Other projects
score on the target's test split, which is kept out of everything here.)
"""

import functools

from gsda_tf.data.domain import DomainData
from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.preparing import prepare
from gsda_tf.settings import DataSettings

DOMAINS = {"Cl": "clipart", "In": "infograph", "Pa": "painting", "Qu": "quickdraw", "Re": "real", "Sk": "sketch"}


@functools.cache
def _class_names() -> tuple[str, ...]:
    return prepare.catalogue_class_names("domainnet/clipart")


def _load(code: str, role: str, settings: DataSettings) -> DomainData:
    return prepare.load_domain(f"domainnet/{DOMAINS[code]}", "train", DOMAINS[code], settings)


BENCHMARKS = (Benchmark(name="domainnet", title="DomainNet", domains=DOMAINS, classes=_class_names, load=_load),)
