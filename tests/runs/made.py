"""What files of a run hold at least, for tests that make them up."""

import numpy as np

from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.records import ArrayRecords

SUMMARY = {
    "task": "digits/Fo_Ha", "method": "gsda", "seed": 0, "step": 7, "steps": 7, "accuracy/source": 0.9,
    "accuracy/target": None, "accuracy/target_mean_class": None, "doubts": [], "images_per_second": 1.0,
    "wall_seconds": 1.0, "workdir": "run", "export_dir": None, "weights_sha256": "ab", "settings": {},
}  # fmt: skip
"""summary.json."""
DATA = {"source": {"0": [3, "ab"]}, "target": {"": [2, "cd"]}}
"""What settings.json says of the data."""


def task() -> TaskData:
    """Three images of two classes, in both domains."""
    domain = DomainData("some", ArrayRecords(np.zeros((3, 8, 8, 3), np.uint8), "some"), np.array([0, 1, 1], np.int32))
    return TaskData("digits/Fo_Ha", domain, domain, ("0", "1"))
