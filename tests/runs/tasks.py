"""A task that is small, for tests of a run's folder."""

import numpy as np

from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.records import ArrayRecords


def task() -> TaskData:
    """Three images of two classes, in both domains."""
    domain = DomainData("some", ArrayRecords(np.zeros((3, 8, 8, 3), np.uint8), "some"), np.array([0, 1, 1], np.int32))
    return TaskData("digits/Fo_Ha", domain, domain, ("0", "1"))
