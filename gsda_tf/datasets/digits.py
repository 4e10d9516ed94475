"""Digits: printed (Fo), handwritten (Ha), MNIST (Mn), USPS (Us) and street view house numbers (Sv).

Fo and Ha need no download. MNIST is taken from the user's own mnist.npz if there is one, else it is downloaded,
as the other two are. Of these three the training split serves, as source and as target.
"""

from __future__ import annotations

import numpy as np
import sklearn.datasets

from gsda_tf.data.domain import Domain
from gsda_tf.data.fonts import render_digits
from gsda_tf.data.records import ArrayRecords
from gsda_tf.datasets.base import Benchmark
from gsda_tf.datasets.preparing import decoded, prepare
from gsda_tf.errors import UserError
from gsda_tf.settings import DataSettings


def _pixels(counts: np.ndarray) -> np.ndarray:
    """Counts 0..16 [n, 8, 8] as RGB images, uint8 0..255 [n, 8, 8, 3]."""
    grey = np.rint(counts.astype(np.float32) * (255 / 16)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _fonts(role: str, settings: DataSettings) -> Domain:
    counts, labels = render_digits()
    return Domain("fonts", ArrayRecords(_pixels(counts), "fonts"), labels)


def _handwriting(role: str, settings: DataSettings) -> Domain:
    digits = sklearn.datasets.load_digits()
    return Domain("handwriting", ArrayRecords(_pixels(digits.images), "handwriting"), digits.target.astype(np.int32))


def _mnist(role: str, settings: DataSettings) -> Domain:
    if prepare.has_own("mnist_npz", settings):
        return decoded.load_domain("mnist_npz", "train", "mnist", settings)
    try:
        return decoded.load_domain("mnist", "train", "mnist", settings)
    except UserError as error:
        raise UserError(
            f"{error} A copy of your own, mnist.npz of keras.datasets, is read from --manual_dir."
        ) from error


def _usps(role: str, settings: DataSettings) -> Domain:
    return decoded.load_domain("usps", "train", "usps", settings)


def _svhn(role: str, settings: DataSettings) -> Domain:
    return decoded.load_domain("svhn_cropped", "train", "svhn", settings)


_LOADERS = {"Fo": _fonts, "Ha": _handwriting, "Mn": _mnist, "Us": _usps, "Sv": _svhn}
_DOMAINS = {"Fo": "fonts", "Ha": "handwriting", "Mn": "mnist", "Us": "usps", "Sv": "svhn"}

BENCHMARKS = (
    Benchmark(
        name="digits",
        title="Digits",
        domains=_DOMAINS,
        classes=tuple(str(digit) for digit in range(10)),
        load=lambda code, role, settings: _LOADERS[code](role, settings),
    ),
)
