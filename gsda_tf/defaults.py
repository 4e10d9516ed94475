"""Defaults that follow: from what the user gave, from the backbone, and from the machine. A given value stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import tensorflow as tf

from gsda_tf import methods
from gsda_tf.data.domain import TaskData
from gsda_tf.methods.gsda.hierarchy import default_groups
from gsda_tf.models import backbones
from gsda_tf.settings import MOST_PIXELS, Settings

Choices = dict[str, tuple[Any, str]]
"""Values by setting name, each with why it was chosen."""

_NARROW = (256, 256)
_WIDE_BOTTLENECK = 1024
_FROZEN_STEPS, _SMALL_STEPS = 2000, 3000
_PAPER = {"bottleneck_norm": "none", "confidence_threshold": 0.9, "discriminator_rate": 1.0}
_PERIODS = {"pseudo_label_period": (2, 4), "evaluate_steps": (4, 4), "report_steps": (10, 10)}
"""A period that fits into the run fewer than the first number of times becomes that part of it."""


def follow(
    given: Mapping[str, Any],
    base: Settings,
    prescribed: Collection[str] = (),
    regimes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Choices:
    """The settings that follow from others.

    Args:
      given: values by setting name, which the user or another run gave: none of them is changed.
      base: what holds otherwise.
      prescribed: names of the settings that a benchmark or the method prescribes; of these only what follows from a
        given value changes.
      regimes: what the benchmark prescribes in place of that, by the name of a regime of the backbone.
    """
    return _Following(given, base, prescribed, regimes or {}).choices()


def described(choices: Choices) -> str:
    """One line for the user; "" if nothing was chosen."""
    why: dict[str, list[str]] = {}
    for name, (value, reason) in choices.items():
        why.setdefault(reason, []).append(flag(name, value))
    return "; ".join(f"{', '.join(flags)} ({reason})" for reason, flags in why.items())


def flag(name: str, value: Any) -> str:
    """A setting as it is written in a command."""
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"


def remarks(settings: Settings, data: TaskData) -> list[str]:
    """What of the settings is unusual for these data, a line each."""
    said = []
    for role, batch in (("source", settings.data.source_batch), ("target", settings.data.target_batch)):
        count = len(getattr(data, role))
        if count < batch:
            counted = f"{count} images" if count > 1 else "1 image"
            said.append(f"The {role} has {counted}, a batch takes {batch}: images are in it more than once.")
    scratch = backbones.is_small(settings.model.extractor)
    regime = "frozen" if settings.model.freeze_backbone else "scratch" if scratch else "trained"
    why = methods.get_method(settings.method.method).weak.get(regime)
    if why:
        said.append(f"--method={settings.method.method} was below --method=source_only here: {why}.")
    options, classes = settings.flat(), len(data.class_names)
    if options.get("num_groups") == () and not options["groups_file"]:
        groups = default_groups(classes)
        chosen = flag("num_groups", groups) if groups else "No groups of classes"
        said.append(f"{chosen}, as there are {classes} classes.")
    return said


class _Following:
    def __init__(
        self,
        given: Mapping[str, Any],
        base: Settings,
        prescribed: Collection[str],
        regimes: Mapping[str, Mapping[str, Any]],
    ):
        self._given, self._base, self._prescribed, self._regimes = given, base.flat(), prescribed, regimes
        self._now = {**self._base, **given}
        self._own = self._now["pipeline"] != "benchmark"
        self._made: Choices = {}

    def choices(self) -> Choices:
        now = self._now
        small = backbones.is_small(now["extractor"])
        if self._own or now["extractor"] != self._base["extractor"]:
            self._follow_extractor(small)
        self._follow_machine(small)
        if now["recipe"] == "paper":
            self._follow_paper()
        if now["image_size"] != self._base["image_size"]:
            size = round(now["image_size"] * self._base["resize_size"] / self._base["image_size"])
            self._choose("resize_size", min(size, MOST_PIXELS), "in its ratio to --image_size")
        if "source_batch" in self._given:
            self._choose("target_batch", now["source_batch"], "as --source_batch")
        for name, (least, parts) in _PERIODS.items():
            if now[name] and now["steps"] < least * now[name]:
                self._choose(name, max(1, now["steps"] // parts), f"the run has {now['steps']:,} steps")
        return self._made

    def _follow_extractor(self, small: bool) -> None:
        name = self._now["extractor"]
        size = backbones.own_size(name)
        if size:
            self._choose("image_size", size, f"what {name} is made for")
        if small:
            why = f"{name} is small and learns from scratch"
            self._choose("weights", "none", why)
            self._choose("backbone_rate", 1.0, why)
            self._choose("discriminator_units", _NARROW[:1], why)
            if self._own:
                self._choose("steps", _SMALL_STEPS, why)

    def _follow_machine(self, small: bool) -> None:
        now = self._now
        gpu = bool(tf.config.list_physical_devices("GPU"))
        pretrained = not small and (now["weights"] != "none" or backbones.is_file(now["extractor"]))
        if self._own and pretrained and not gpu and not now["train_from"]:
            self._choose("freeze_backbone", True, "there is no GPU, to train the whole backbone would take days")
        if now["freeze_backbone"] or now["train_from"]:
            why = "the backbone is frozen" if now["freeze_backbone"] else "most of the backbone is frozen"
            if "discriminator_units" not in self._prescribed:
                self._choose("discriminator_units", _NARROW, why)
            if self._own:
                self._choose("steps", _FROZEN_STEPS, why)
        elif self._own and not small and not gpu:
            self._choose("discriminator_units", _NARROW, "there is no GPU")
        if now["recipe"] != "paper" and (pretrained or now["freeze_backbone"] or now["train_from"]):
            self._follow_regime()

    def _follow_regime(self) -> None:
        """What suits a pretrained backbone that is frozen, or trained in whole or in part."""
        now = self._now
        method = methods.get_method(now["method"])
        values: dict[str, Any] = {}
        if now["freeze_backbone"]:
            regime, why = "frozen", f"{methods.label(now['method'], now['add'])} on a frozen backbone"
        else:
            regime, why = "trained", "a pretrained backbone is trained"
            if method.phases:  # else nothing is trained
                values["bottleneck_units"] = _WIDE_BOTTLENECK
        for kind in (method, *methods.get_terms(now["add"])):
            values.update(kind.regimes.get(regime, {}))
        for name, value in values.items():
            if name not in self._prescribed:  # a name that is none is refused with the settings
                self._choose(name, value, why)
        for name, value in self._regimes.get(regime, {}).items():
            self._choose(name, value, why)

    def _follow_paper(self) -> None:
        values: dict[str, Any] = dict(_PAPER)
        levels = getattr(methods.get_method(self._now["method"]), "levels", ())
        if levels:  # (16) adds them up, each as strong as one alone; the setting is what they share
            groups = len(set(self._now.get("num_groups", ()))) or 1
            values["adversarial_weight"] = float(len(levels) - 1 + groups)
        for name, value in values.items():
            self._choose(name, value, "--recipe=paper")

    def _choose(self, name: str, value: Any, why: str) -> None:
        if name not in self._given and self._now.get(name) != value:
            self._now[name] = value
            self._made[name] = (value, why)
