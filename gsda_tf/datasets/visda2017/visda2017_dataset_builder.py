"""VisDA-2017 (classification) as a TFDS data set: splits train (rendered) and validation (real)."""

from typing import ClassVar

from gsda_tf.datasets.preparing.labelled_images import FolderBuilder
from gsda_tf.datasets.visda2017 import IMAGE_SET


class Builder(FolderBuilder):
    """VisDA-2017."""

    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "Training and validation set of the classification track; the test set is left out."
    }
    IMAGE_SET = IMAGE_SET
