"""Some images of a domain, as a domain."""

from __future__ import annotations

import numpy as np

from gsda_tf.data.domain import ChosenRecords, Domain
from gsda_tf.data.features import FeatureRecords


def evenly(size: int, most: int) -> np.ndarray:
    """At most `most` indices, evenly spread over 0..size-1; int64."""
    return np.arange(size) if size <= most else np.linspace(0, size - 1, most).round().astype(np.int64)


def subset(domain: Domain, chosen: np.ndarray) -> Domain:
    """The images `chosen` of a domain, int64 indices."""
    if len(chosen) == len(domain):
        return domain
    records = ChosenRecords(domain.records, chosen)
    if isinstance(domain.records, FeatureRecords):
        records = FeatureRecords(domain.records.features[chosen], records)
    return Domain(domain.name, records, domain.labels[chosen])
