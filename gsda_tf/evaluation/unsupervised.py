"""Scores of a model on an unlabelled target."""

from __future__ import annotations

import numpy as np


def scores(source_features: np.ndarray, target_features: np.ndarray, target_logits: np.ndarray) -> dict[str, float]:
    """Label-free scores by name."""
    shifted = np.exp(target_logits - target_logits.max(axis=1, keepdims=True))
    p = shifted / shifted.sum(axis=1, keepdims=True)
    return {"entropy": float(-(p * np.log(p + 1e-12)).sum(axis=1).mean())}
