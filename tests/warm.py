"""What the processes of `tests.processes` share: imported before they fork, and nothing of it starts a device."""

import importlib
import pkgutil

import gsda_tf
from gsda_tf.data.fonts import render_digits

# Not installed everywhere.
_NOT_SHARED = {"gsda_tf.data.augmentation_addons"}

_found = {module.name for module in pkgutil.walk_packages(gsda_tf.__path__, "gsda_tf.")}
assert _found >= _NOT_SHARED, f"renamed or gone: {_NOT_SHARED - _found}"
for _name in sorted(_found - _NOT_SHARED):
    importlib.import_module(_name)
render_digits()
