"""What the processes of `tests.processes` share: imported before they fork, and nothing of it starts a device."""

import importlib
import pkgutil
import sys

import gsda_tf
from gsda_tf.data.fonts import render_digits

# Importing TensorFlow Serving's messages starts TensorFlow, and a fork of that stands still for ever; the rest is not
# installed everywhere.
_NOT_SHARED = {f"gsda_tf.{name}" for name in ("serving.client", "serving.shards", "data.augmentation_addons")}

_found = {module.name for module in pkgutil.walk_packages(gsda_tf.__path__, "gsda_tf.")}
assert _found >= _NOT_SHARED, f"renamed or gone: {_NOT_SHARED - _found}"
for _name in sorted(_found - _NOT_SHARED):
    importlib.import_module(_name)
assert "gsda_tf.serving.client" not in sys.modules, "whoever imports it is not shared either"
render_digits()
