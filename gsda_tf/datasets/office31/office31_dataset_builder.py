"""Office-31 as a TFDS data set: splits amazon, dslr and webcam."""

from __future__ import annotations

from typing import ClassVar

import tensorflow_datasets as tfds

from gsda_tf.datasets.office31 import IMAGE_SET
from gsda_tf.datasets.preparing.labelled_images import FolderBuilder


class Builder(FolderBuilder):
    """Office-31."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "All images of the release of 2010, surplus copies within classes included."
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = IMAGE_SET.instructions
    IMAGE_SET = IMAGE_SET
    CLASS_NAMES = IMAGE_SET.class_names
