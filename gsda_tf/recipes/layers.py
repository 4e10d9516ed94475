"""The base of layers of settings, and what holds while layers are folded."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from gsda_tf import methods
from gsda_tf.datasets.base import split_task
from gsda_tf.errors import UserError
from gsda_tf.models import backbones
from gsda_tf.settings import fields, flag


class Choice(NamedTuple):
    """Some of the settings, and why they are so.

    Attributes:
      values: by setting name.
      why: as the user is told; "" if it need not be said.
      gentle: it stands back behind what the benchmark prescribes.
    """

    values: Mapping[str, Any]
    why: str = ""
    gentle: bool = False


class Holding:
    """The settings while they are found.

    Args:
      defaults: all settings, with the options of the method, by name.
      prescribed: what the benchmark says in place of some of them.
      fixed: what no layer changes: of the user, of another run, of the data.

    Attributes:
      base: the defaults, under what the benchmark prescribes.
      values: what the layers have made of it.
      known: names of all settings.
    """

    def __init__(self, defaults: Mapping[str, Any], prescribed: Mapping[str, Any], fixed: Mapping[str, Any]):
        self.known = frozenset(defaults)
        self.base: Mapping[str, Any] = {**defaults, **self.meant(prescribed)}
        self.values, self._fixed, self._firm = dict(self.base), fixed, frozenset(prescribed)
        self._reasons: dict[str, str] = {}

    def __getitem__(self, name: str) -> Any:
        return self.all()[name]

    def all(self) -> dict[str, Any]:
        """Every setting as it is now."""
        return {**self.values, **self._fixed}

    def given(self, name: str) -> bool:
        """Returns whether no layer decides on a setting."""
        return name in self._fixed

    def meant(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a benchmark's values that this method has."""
        return {name: value for name, value in values.items() if name in self.known}

    def take(self, choice: Choice) -> None:
        """Lets a choice hold above all that were taken before it."""
        for name, value in choice.values.items():
            behind = self.given(name) or (choice.gentle and name in self._firm)
            if not behind and self.values.get(name) != value:
                self.values[name], self._reasons[name] = value, choice.why

    def described(self) -> str:
        """Returns what was chosen, and why, in one line for the user; "" if there is nothing to tell."""
        flags: dict[str, list[str]] = {}
        for name, why in self._reasons.items():
            flags.setdefault(why, []).append(flag(name, self.values[name]))
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

    @property
    def keeps_features(self) -> bool:
        """Returns whether the backbone is frozen, whole or in part."""
        return bool(self["freeze_backbone"] or self["train_from"])


Layer = Callable[[Holding], Iterator[Choice]]
"""Choices that follow from what holds so far; each is taken before the next is made."""


def recipe_of(benchmark: str) -> ModuleType | None:
    """The file of this folder that is called as a benchmark, if there is one.

    Raises:
      UserError: it names what is no setting and no option of a method.
    """
    name = f"{__package__}.{benchmark}"
    if importlib.util.find_spec(name) is None:
        return None
    recipe = importlib.import_module(name)
    tables = [getattr(recipe, part, {}) for part in ("SETTINGS", "FROZEN", "TRAINED")]
    told = set().union(*tables, *getattr(recipe, "TASKS", {}).values())
    unknown = told - {field.name for field in fields()} - set(methods.all_options())
    if unknown:
        raise UserError(f"{recipe.__file__} sets {', '.join(sorted(unknown))}: no setting and no option of a method.")
    return recipe


def regime(now: Holding, name: str, values: Mapping[str, Any], why: str) -> Iterator[Choice]:
    """Returns what suits a way to train the backbone: in general, this method and its terms, this benchmark.

    Args:
      now: what holds.
      name: "frozen" or "trained".
      values: that suit every method.
      why: as the user is told.
    """
    kinds = (methods.get_method(now["method"]), *methods.get_terms(now["add"]))
    for wanted in (values, *(kind.regimes.get(name, {}) for kind in kinds)):
        yield Choice(wanted, why, gentle=True)
    if not now.own:
        of_benchmark = getattr(recipe_of(split_task(now["task"])[0]), name.upper(), {})
        yield Choice(now.meant(of_benchmark), why)
