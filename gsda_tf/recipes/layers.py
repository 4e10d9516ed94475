"""The settings while layers are folded, each with its reason; and functions that layers share."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from gsda_tf import methods
from gsda_tf.datasets.base import split_task
from gsda_tf.models import backbones
from gsda_tf.settings import flag


class Holding(dict[str, Any]):
    """Every setting by its name, as the layers have made it so far.

    Args:
      defaults: all settings, with the options of the method, by name.
      prescribed: what the benchmark says in place of some of them, and of options that this method may not have.
      fixed: what no layer changes: of the user, of another run, of the data.

    Attributes:
      base: the defaults, under what the benchmark prescribes.
      fixed: as given.
    """

    def __init__(self, defaults: Mapping[str, Any], prescribed: Mapping[str, Any], fixed: Mapping[str, Any]):
        self.base = {**defaults, **{name: value for name, value in prescribed.items() if name in defaults}}
        self.fixed, self._prescribed = fixed, prescribed
        self._reasons: dict[str, str] = {}
        super().__init__({**self.base, **fixed})

    def take(self, values: Mapping[str, Any], why: str = "", gentle: bool = False) -> None:
        """Puts values in place of those that were taken before.

        Args:
          values: by setting name.
          why: as the user is told; "" if it need not be said.
          gentle: whether they stand back behind what the benchmark prescribes.
        """
        for name, value in values.items():
            behind = name in self.fixed or (gentle and name in self._prescribed)
            if not behind and self.get(name) != value:
                self[name], self._reasons[name] = value, why

    def described(self) -> str:
        """Returns what was chosen, and why, in one line for the user; "" if there is nothing to tell."""
        flags: dict[str, list[str]] = {}
        for name, why in self._reasons.items():
            flags.setdefault(why, []).append(flag(name, self[name]))
        return "; ".join(f"{', '.join(named)} ({why})" for why, named in flags.items() if why)

    @property
    def own(self) -> bool:
        """Returns whether the images are the user's own."""
        return self["pipeline"] != "benchmark"

    @property
    def small(self) -> bool:
        """Returns whether the extractor is one that learns from scratch."""
        return backbones.is_small(self["extractor"])

    @property
    def pretrained(self) -> bool:
        """Returns whether the extractor has learnt before."""
        return not self.small and (self["weights"] != "none" or backbones.is_file(self["extractor"]))


def recipe_of(benchmark: str) -> ModuleType | None:
    """The file of this folder that is called as a benchmark, if there is one."""
    name = f"{__package__}.{benchmark}"
    if importlib.util.find_spec(name) is None:
        return None
    return importlib.import_module(name)


def regime(now: Holding, name: str, values: Mapping[str, Any], why: str) -> None:
    """Takes what suits a way to train the backbone: in general, this method and its terms, this benchmark.

    Args:
      now: what holds.
      name: "frozen" or "trained".
      values: that suit every method.
      why: as the user is told.
    """
    kinds = (methods.get_method(now["method"]), *methods.get_terms(now["add"]))
    for wanted in (values, *(kind.regimes.get(name, {}) for kind in kinds)):
        now.take(wanted, why, gentle=True)
    if not now.own:
        of_benchmark = getattr(recipe_of(split_task(now["task"])[0]), name.upper(), {})
        now.take({name: value for name, value in of_benchmark.items() if name in now}, why)
