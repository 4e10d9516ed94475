"""Settings that the paper's benchmarks share: ResNet-50, and the recipe of the field where the paper is silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RECIPE: Mapping[str, Any] = {
    "extractor": "resnet50",
    "weights": "imagenet",
    "image_size": 224,
    "resize_size": 256,
    "source_batch": 36,
    "target_batch": 36,
    "alpha": 0.02,
    "beta": 1.0,
    "steps": 20_000,
}
