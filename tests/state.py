"""What tests share in a process, read off in a millisecond, so that whoever changes it is found out."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gsda_tf import methods
from gsda_tf.compat import KERAS_3
from tests.processes import REPOSITORY

TENSORFLOW_SEED = 0
"""Of every process of the tests; what was drawn from it since then cannot be read."""

_POLICY = keras.config.dtype_policy if KERAS_3 else keras.mixed_precision.global_policy
_SIGNALS = [s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2")]
# Written by pytest itself and by what is imported late, once a process.
_OTHERS = frozenset(("PYTEST_CURRENT_TEST", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "TF2_BEHAVIOR"))


def _seed_of_tensorflow() -> int:
    return tf.compat.v1.get_seed(0)[0]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OTHERS}


def _devices() -> list:
    devices = tf.config.list_physical_devices()
    return [(d.name, len(tf.config.get_logical_device_configuration(d) or ())) for d in devices]


def _open_files() -> dict[str, str]:
    """Descriptors of files and folders in the repository and among temporary files."""
    places, found = (REPOSITORY, os.path.realpath(tempfile.gettempdir())), {}
    for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # that of this list
            continue
        # Held as long as the process lives: what `tf.numpy_function` calls, the readers of TFDS's records, and what
        # installed packages keep open of their own (Matplotlib its fonts), which lie here where the environment does.
        if path.startswith(places) and ".array_record-" not in path and "/site-packages/" not in path:
            found[number] = path
    return found


def _processes() -> dict[str, str]:
    """Children that are under way or were not waited for; the server that forks them stays."""
    found = {}
    for thread in os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else ():
        try:
            with open(f"/proc/self/task/{thread}/children") as file:
                children = file.read().split()
            for child in children:
                with open(f"/proc/{child}/cmdline") as file:
                    command = file.read().replace("\0", " ").strip()
                if "multiprocessing" not in command:
                    found[child] = command or "defunct"
        except OSError:  # it has ended
            continue
    return found


def _umask() -> int:
    before = os.umask(0o022)
    os.umask(before)
    return before


def _levels() -> dict[str, int]:
    named = {name: log for name, log in logging.root.manager.loggerDict.items() if isinstance(log, logging.Logger)}
    levels = {name: (log.level, log.disabled) for name, log in named.items()}
    return {**levels, "root": (logging.root.level, logging.root.manager.disable)}


def _pictures() -> list[int]:
    return sys.modules["matplotlib.pyplot"].get_fignums() if "matplotlib.pyplot" in sys.modules else []


_READ: dict[str, Callable[[], Any]] = {
    "Keras's floatx": keras.backend.floatx,
    "Keras's dtype policy": lambda: _POLICY().name,
    "whether Keras's policy follows floatx": lambda: _POLICY() is not _POLICY(),
    "NumPy's random state": lambda: np.random.get_state()[1:3],
    "TensorFlow's seed": _seed_of_tensorflow,
    "TensorFlow's devices": _devices,
    "functions run eagerly": tf.config.functions_run_eagerly,
    "a strategy's scope": tf.distribute.has_strategy,
    "environment": _environment,
    "working folder": os.getcwd,
    "umask": _umask,
    "open files": _open_files,
    "processes": _processes,
    "methods": lambda: {name: methods.get_method(name) for name in methods.method_names()},
    "warning filters": lambda: list(warnings.filters),
    "signal handlers": lambda: {s.name: signal.getsignal(s) for s in _SIGNALS},
    "logging levels": _levels,
    "NumPy's errors": np.geterr,
    "open pictures": _pictures,
}


def read() -> dict[str, Any]:
    """Returns all of it by name."""
    return {name: get() for name, get in _READ.items()}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Returns what differs, a line each; a new logger or one that has gone is no change."""
    found = []
    for name, old in before.items():
        new = after[name]
        if isinstance(old, dict):
            keys = [key for key in {**old, **new} if old.get(key, _NONE) != new.get(key, _NONE)]
            if name == "logging levels":
                keys = [key for key in keys if key in old and key in new]
            if name == "open files":  # what ends is nothing left behind
                keys = [key for key in keys if key in new]
            if name == "processes":  # nor is one that was about to become its program
                keys = [key for key in keys if key not in old]
            found += [f"{name}: {key} was {old.get(key, _NONE)}, is {new.get(key, _NONE)}" for key in sorted(keys)]
        elif not _equal(old, new):
            found.append(f"{name} was {_short(old)}, is {_short(new)}")
    return found


def left_behind(before: Mapping[str, Any]) -> list[str]:
    """Returns what differs now; what nobody holds any more is let go of before that is said."""
    if changes(before, read()):
        gc.collect()
        return changes(before, read())
    return []


_NONE = "not there"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return all(np.array_equal(*pair) for pair in zip(one, other))
    return one == other


def _short(value: Any) -> str:
    return "another" if isinstance(value, tuple) else repr(value)[:200]
