"""The callbacks between steps, and their order: see `ORDER`."""

import importlib
import inspect
import pkgutil
from typing import Any

from gsda_tf.training.callbacks.base import Callback

ORDER = ("log", "shares", "label", "evaluate", "...", "checkpoint", "bar")
"""At one step. What corrects answers comes before all that asks for them. A labelling comes before an evaluation, which
takes over what it has found; a checkpoint holds all that the others did. All further callbacks of this folder are
called at the dots, by name."""


def build(training: Any) -> list[Callback]:
    """Makes every callback of this folder for a run at work, in their order.

    Args:
      training: `run.Training`.
    """
    found: dict[str, type[Callback]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        kinds = (kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, Callback))
        found.update({kind.name: kind for kind in kinds if kind.name})
    others, dots = sorted(set(found) - set(ORDER)), ORDER.index("...")
    return [found[name](training) for name in (*ORDER[:dots], *others, *ORDER[dots + 1 :])]
