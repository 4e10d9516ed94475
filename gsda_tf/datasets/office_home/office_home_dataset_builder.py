"""Office-Home as a TFDS data set: splits art, clipart, product and real_world."""

from typing import ClassVar

from gsda_tf.datasets.office_home import IMAGE_SET
from gsda_tf.datasets.preparing.labelled_images import FolderBuilder


class Builder(FolderBuilder):
    """Office-Home."""

    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "The release 10072016. Labels follow the class names, in plain sorted order."
    }
    IMAGE_SET = IMAGE_SET
