"""Digits: printed (Fo), handwritten (Ha), MNIST (Mn), USPS (Us) and street view house numbers (Sv).

Fo and Ha need no download. MNIST is taken from the user's own mnist.npz if there is one, else it is downloaded,
as the other two are. Of these three the training split serves, as source and as target.
"""

import numpy as np

from gsda_tf.data.domain import DomainData
from gsda_tf.data.fonts import render_digits
from gsda_tf.data.records import ArrayRecords
from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.preparing import prepare
from gsda_tf.settings import DataSettings

_DOMAINS = {"Fo": "fonts", "Ha": "handwriting", "Mn": "mnist", "Us": "usps", "Sv": "svhn"}
_SETS = {"Mn": "mnist", "Us": "usps", "Sv": "svhn_cropped"}
"""Of TFDS, or made as one."""
_CLASSES = tuple("0123456789")


def _pixels(counts: np.ndarray) -> np.ndarray:
    """Counts 0..16 [n, 8, 8] as RGB images, uint8 0..255 [n, 8, 8, 3]."""
    grey = np.rint(counts.astype(np.float32) * (255 / 16)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _load(code: str, settings: DataSettings) -> DomainData:
    name = _DOMAINS[code]
    if code == "Fo":
        counts, labels = render_digits()
        return DomainData(name, ArrayRecords(_pixels(counts), name), labels)
    if code == "Ha":
        import sklearn.datasets  # here: it takes a second, and every command knows of every benchmark

        digits = sklearn.datasets.load_digits()
        return DomainData(name, ArrayRecords(_pixels(digits.images), name), digits.target.astype(np.int32))
    own = code == "Mn" and prepare.has_own("mnist_npz", settings)
    return prepare.load_decoded("mnist_npz" if own else _SETS[code], "train", name, settings)


BENCHMARKS = (Benchmark(name="digits", title="Digits", domains=_DOMAINS, classes=_CLASSES, load=_load),)
