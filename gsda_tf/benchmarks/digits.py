"""Digits: printed (Fo) to handwritten (Ha). Needs no download."""

from __future__ import annotations

import numpy as np
import sklearn.datasets

from gsda_tf.benchmarks.base import Benchmark
from gsda_tf.data.domain import ArrayRecords, Domain
from gsda_tf.data.fonts import render_digits
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


_LOADERS = {"Fo": _fonts, "Ha": _handwriting}

BENCHMARK = Benchmark(
    name="digits",
    title="Digits",
    domains={"Fo": "fonts", "Ha": "handwriting"},
    class_names=tuple(str(digit) for digit in range(10)),
    load=lambda code, role, settings: _LOADERS[code](role, settings),
    settings={
        "extractor": "small_cnn",
        "weights": "none",
        "image_size": 8,
        "resize_size": 8,
        "augmentation": "none",
        "source_batch": 64,
        "target_batch": 64,
        "evaluation_batch": 512,
        "bottleneck_units": 128,
        "discriminator_units": (256,),
        "backbone_rate": 1.0,
        "num_groups": (3,),
        "steps": 2000,
    },
)
