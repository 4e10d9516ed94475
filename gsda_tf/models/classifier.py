"""The classifier C: equation (2) before its softmax."""

from __future__ import annotations

import keras


def build_classifier(feature_units: int, num_classes: int) -> keras.Model:
    """C: features float32 [N, d] -> logits float32 [N, r]."""
    features = keras.Input([feature_units], dtype="float32")
    logits = keras.layers.Dense(num_classes, dtype="float32", name="logits")(features)
    return keras.Model(features, logits, name="classifier")
