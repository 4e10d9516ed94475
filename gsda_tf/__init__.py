"""GSDA: unsupervised domain adaptation with hierarchical gradient synchronization.

The way through the package is the way of the data: settings -> data -> models -> losses -> methods -> recipes ->
training -> evaluation -> serving and reporting. Nothing further down that list is imported by anything further up.
"""

import os
from typing import Any

from gsda_tf.version import __version__

# Before TensorFlow is imported: its start-up notes are for nobody here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__all__ = ["AdaptedClassifier", "Domain", "Run", "UserError", "__version__", "adapt", "list_methods", "load"]


def __getattr__(name: str) -> Any:
    # Not before it is asked for: TensorFlow takes seconds to import, and a command has something to say before.
    if name in __all__:
        from gsda_tf import api, estimator

        return getattr(estimator if name == "AdaptedClassifier" else api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
