"""DomainNet: six domains of 345 classes, from the TFDS catalogue.

Source and target are the published training splits; the target's labels only score the result. (Other projects
score on the target's test split, which is kept out of everything here.)
"""

import functools

from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.preparing import prepare

DOMAINS = {"Cl": "clipart", "In": "infograph", "Pa": "painting", "Qu": "quickdraw", "Re": "real", "Sk": "sketch"}


BENCHMARKS = (
    Benchmark(
        name="domainnet",
        title="DomainNet",
        domains=DOMAINS,
        classes=functools.cache(functools.partial(prepare.catalogue_class_names, "domainnet/clipart")),
        load=prepare.loader("domainnet/{}", DOMAINS, dict.fromkeys(DOMAINS, "train")),
    ),
)
