"""Source only: what all methods are compared with."""

from gsda_tf.methods.base import Method


class SourceOnly(Method):
    """Cross-entropy on the source; the target is not looked at."""

    name, title = "source_only", "source only"
    images = ("source",)
