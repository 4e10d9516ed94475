"""Office-31 as a TFDS data set: splits amazon, dslr and webcam."""

from typing import ClassVar

from gsda_tf.datasets.office31 import IMAGE_SET
from gsda_tf.datasets.preparing.labelled_images import FolderBuilder


class Builder(FolderBuilder):
    """Office-31."""

    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "All images of the release of 2010, surplus copies within classes included."
    }
    IMAGE_SET = IMAGE_SET
