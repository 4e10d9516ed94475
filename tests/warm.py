"""What the processes of `tests.processes` share: imported before they fork, and nothing of it starts a device."""

import importlib
import pkgutil

import gsda_tf
from gsda_tf.data.fonts import render_digits

# Importing TensorFlow Serving's messages starts TensorFlow; the rest is not installed everywhere, or starts threads.
_NOT_SHARED = {"serving.client", "serving.pieces", "data.augmentation_addons", "cluster"}

for _module in pkgutil.walk_packages(gsda_tf.__path__, "gsda_tf."):
    if _module.name[len("gsda_tf.") :] not in _NOT_SHARED:
        importlib.import_module(_module.name)
render_digits()
