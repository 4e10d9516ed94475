"""Folds layers of values, from the defaults to what the user gave, into the settings of a run.

From the bottom to the top: the defaults (`settings.py`); the benchmark (its file here); what the extractor needs; what
the machine can do; a backbone that is frozen, or trained; further files of this folder that have a `layer`, by name;
the method; the paper, if it is asked for; what keeps proportions; and, which nothing changes, the networks of another
run (`--init_from`), features in place of images, and the user.
"""

import dataclasses
import importlib
import os
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from gsda_tf import methods
from gsda_tf.data.domain import TaskData
from gsda_tf.datasets import get_benchmark, split_task
from gsda_tf.datasets.own.arrays import feature_units
from gsda_tf.errors import UserError, choose, shown
from gsda_tf.models import backbones, foreign
from gsda_tf.recipes import frozen, paper, trained
from gsda_tf.recipes.layers import Holding, recipe_of
from gsda_tf.runs.initial import inherited
from gsda_tf.settings import MOST_PIXELS, REJECT, Settings, converted, fields, flag, is_array_file, names, several

Layer = Callable[[Holding], None]
"""Takes the values that follow from what holds so far."""

_NARROW = (256, 256)
_SMALL = {"weights": "none", "backbone_rate": 1.0, "discriminator_units": (256,)}
_SMALL_OWN = {"steps": 3000}
_PERIODS = {"pseudo_label_period": (2, 4), "evaluate_steps": (4, 4), "report_steps": (10, 10)}
"""A period that fits into the run fewer than the first number of times becomes that part of it."""


def _extractor(now: Holding) -> None:
    name = now["extractor"]
    chosen = now.own or name != now.base["extractor"]  # else the benchmark's other values are made for it
    if size := backbones.own_size(name):
        now.take({"image_size": size}, f"what {name} is made for", gentle=not chosen)
    if now.small:
        of_it = {**_SMALL, **(_SMALL_OWN if now.own else {})}
        now.take(of_it, f"{name} is small and learns from scratch", gentle=not chosen)


def _machine(now: Holding) -> None:
    if not now.own or tf.config.list_physical_devices("GPU"):
        return
    if now.pretrained and not now["train_from"]:
        now.take({"freeze_backbone": True}, "there is no GPU, to train the whole backbone would take days")
    if not (now["freeze_backbone"] or now["train_from"] or now.small):
        now.take({"discriminator_units": _NARROW}, "there is no GPU")


def _method(now: Holding) -> None:
    """Takes what a method and its terms prescribe, of which no word need be lost."""
    kind, terms = methods.get_method(now["method"]), methods.get_terms(now["add"])
    if not (kind.pseudo_labels or kind.observes):
        now.take({"pseudo_label_period": 0})
    if kind.discriminator_rate is not None:
        now.take({"discriminator_rate": kind.discriminator_rate})
    if not now.own:
        now.take(methods.prescribed(now["method"], now["add"], split_task(now["task"])[0]))
    if kind.entropy_option and any(term.replaces_entropy for term in terms):
        now.take({kind.entropy_option: 0.0})


def _proportions(now: Holding) -> None:
    if now["image_size"] != now.base["image_size"]:
        size = round(now["image_size"] * now.base["resize_size"] / now.base["image_size"])
        now.take({"resize_size": min(size, MOST_PIXELS)}, "in its ratio to --image_size")
    if "source_batch" in now.fixed:
        now.take({"target_batch": now["source_batch"]}, "as --source_batch")
    for name, (least, parts) in _PERIODS.items():
        if now[name] and now["steps"] < least * now[name]:
            now.take({name: max(1, now["steps"] // parts)}, f"the run has {now['steps']:,} steps")


def _layers() -> list[Layer]:
    found = [info.name for info in pkgutil.iter_modules([os.path.dirname(__file__)])]
    files = [importlib.import_module(f"{__package__}.{name}") for name in found]
    further = [file.layer for file in files if hasattr(file, "layer") and file not in (frozen, trained, paper)]
    return [_extractor, _machine, frozen.layer, trained.layer, *further, _method, paper.layer, _proportions]


def resolve(given: Mapping[str, Any]) -> Settings:
    """Returns the settings of a run; see `reasoned`."""
    return reasoned(given)[0]


def reasoned(given: Mapping[str, Any]) -> tuple[Settings, str]:
    """Returns the settings of a run, and which of them the user did not choose, each with its reason ("" if none).

    Where no method is named, nor anything that speaks of one, as steps do, it is the method that suits.

    Args:
      given: values by setting name, only those that the user gave; see `settings.convert`.

    Raises:
      UserError: an unknown name, a value of another kind or out of range, or values that contradict one another.
    """
    settings, said = _fold(given)
    spoken = {"init_from", *vars(settings.method), *vars(settings.optimization)}
    if spoken & set(given) or any(map(methods.owners, given)):
        return settings, said
    if settings.data.pipeline == "benchmark" or not settings.model.freeze_backbone:
        return settings, said
    settings, said = _fold({**given, "method": frozen.OWN_METHOD})
    why = f"--method={frozen.OWN_METHOD} (best in the mean on frozen backbones)"
    return settings, "; ".join(filter(None, (why, said)))


def _fold(given: Mapping[str, Any]) -> tuple[Settings, str]:
    blank = _blank(given)
    given = _given(given, blank)
    prescribed: Mapping[str, Any] = {"task": ""}
    if given["pipeline"] == "benchmark":
        benchmark, task = split_task(given.get("task", blank.data.task))
        choose(f"task of {benchmark}", task, get_benchmark(benchmark).tasks)
        recipe = recipe_of(benchmark)
        prescribed = {**getattr(recipe, "SETTINGS", {}), **getattr(recipe, "TASKS", {}).get(task, {})}
    now = Holding(blank.flat(), prescribed, {**_another_run(given), **given, **_features(given)})
    for layer in _layers():
        layer(now)
    settings = blank.replace(now)
    _validate(given, settings)
    if now["unknown"] == REJECT and not (now.pretrained or now["freeze_backbone"] or now["init_from"]):
        said = "tells by what a network has learnt before: choose a pretrained --extractor, or --init_from=RUN"
        raise UserError(f"--unknown=reject {said}.")
    return settings, now.described()


def _blank(values: Mapping[str, Any]) -> Settings:
    """The defaults, with the method and the terms that `values` name, and their options."""
    named = Settings().replace({name: values[name] for name in ("method", "add") if name in values})
    return dataclasses.replace(named, options=methods.options_of(named.method.method, named.method.add))


def _given(given: Mapping[str, Any], blank: Settings) -> dict[str, Any]:
    """Returns what was given as it is meant, with the pipeline; refuses options of methods that are not the run's."""
    known = blank.flat()
    for name in given:
        if name not in known and (owners := methods.owners(name)):
            raise UserError(
                f"--{name} is an option of {', '.join(owners)}, but --method="
                f"{methods.label(known['method'], known['add'])}: leave it out, or choose one of these."
            )
    made = converted(given, blank.fields())
    if "pipeline" not in made:  # where the images are said to be tells it, too
        told = [f.metadata["needs"].get("pipeline", ()) for f in fields() if f.name != "task" and made.get(f.name)]
        pipelines = next(filter(None, told), ("benchmark",))
        named = "arrays" if is_array_file(made.get("source") or made.get("target", "")) else "tfds"
        made["pipeline"] = pipelines[0] if len(pipelines) == 1 else named
    return made


def _another_run(given: Mapping[str, Any]) -> dict[str, Any]:
    """The networks of the run that `--init_from` names, and what of them it froze, unless that is said anew."""
    values = inherited(given["init_from"]) if given.get("init_from") else {}
    said = {"freeze_backbone", "train_from"} & {name for name, value in given.items() if value}
    return {name: value for name, value in values.items() if not said or name not in ("freeze_backbone", "train_from")}


def _features(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what follows from features in place of images: there is no backbone."""
    source = given.get("source") or given.get("target", "")
    units = feature_units(several(source)[0]) if given["pipeline"] == "arrays" else 0
    if not units:
        return {}
    if about := [flag(name, given[name]) for name in names("images") if name in given]:
        raise UserError(f"{about[0]} is about images, but --source={shown(source)} holds features: leave it out.")
    of_images = {"weights": "none", "freeze_backbone": True, "train_from": "", "augmentation": "none"}
    return {"extractor": f"features:{units}", **of_images}


def _validate(given: Mapping[str, Any], settings: Settings) -> None:
    """Raises UserError where what was given means nothing beside what holds."""
    settings.validate_given(given)
    if given.get("extractor", "").startswith("features:"):
        raise UserError(
            f"--extractor={given['extractor']} is chosen where --source holds features of another model: leave it out."
        )
    values = settings.flat()
    if not methods.get_method(values["method"]).phases:
        for name, instead in (("train_from", "say --freeze_backbone"), ("add", "leave it out")):
            if values[name]:
                raise UserError(
                    f"{flag(name, values[name])} is for methods that train, but --method={values['method']} is fitted: "
                    f"{instead}."
                )


def written(values: Mapping[str, Any]) -> Settings:
    """Returns the defaults with the values that were written down, by name; no layer changes them."""
    return _blank(values).replace(values)


def _check_programs(written: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuses to run what a run's folder, which may come from anybody, names as a program, before anything of it is
    looked at: only the user can say that it is trusted.

    Raises:
      UserError: naming the flag.
    """
    method = str(written.get("method", ""))
    if given.get("method", method) != method:
        raise UserError(f"The run was trained with --method={method}, not {given['method']}: leave it out.")
    if ":" in method and "method" not in given:
        raise UserError(f"The run was trained by code in a file: say --method={method} if you trust it; it is run.")
    extractor = str(written.get("extractor", ""))
    if foreign.is_foreign(extractor) and not given.get("trust_extractor"):
        raise UserError(
            f"The run was trained with {extractor}, which is a program: say --trust_extractor if you trust it."
        )


def restored(values: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """The settings of a run from its folder, which may be anybody's: it brings what computes, and nothing else.

    Args:
      values: of settings.json, by name.
      given: what the user says here, above it.

    Returns:
      (settings, what the folder says of this machine and was not taken, as flags).

    Raises:
      UserError: see `resolve`; or it was trained by a program that the user has not said to trust.
    """
    _check_programs(values, given)
    mine = {field.name: field.metadata for field in fields() if not field.metadata["foreign"]}
    theirs = {name: value for name, value in values.items() if name not in mine}
    if unknown := sorted(theirs.keys() - _blank(theirs).flat().keys()):
        raise UserError(
            f"The run has settings that this version does not know ({', '.join(map(shown, unknown))[:200]}): it is of "
            "another version, with which it goes on. Its export answers in both."
        )
    settings = written(theirs)
    given = converted(given, settings.fields())
    # The checkpoint has all weights, and nothing is fetched because a folder names it.
    settings = settings.replace({"weights": "none", "download": False, **given})
    _validate(given, settings)
    places = [name for name, told in mine.items() if told["path"] and told["restoring"] and name not in given]
    return settings, [flag(name, values[name]) for name in places if values.get(name)]


def remarks(settings: Settings, data: TaskData) -> list[str]:
    """Returns what of the settings is unusual for these data, a line each."""
    said = []
    for role, batch in (("source", settings.data.source_batch), ("target", settings.data.target_batch)):
        count = len(getattr(data, role))
        if 0 < count < batch:
            counted = f"{count} images" if count > 1 else "1 image"
            said.append(f"The {role} has {counted}, a batch takes {batch}: images are in it more than once.")
    values = settings.flat()
    for name in _PERIODS:  # one that the user gave: the others fit
        if values[name] > values["steps"]:
            said.append(f"{flag(name, values[name])} is longer than the run of {values['steps']:,} steps.")
    kind = methods.get_method(settings.method.method)
    scratch = backbones.is_small(settings.model.extractor)
    why = kind.weak.get("frozen" if settings.model.freeze_backbone else "scratch" if scratch else "trained")
    if why:
        said.append(f"--method={settings.method.method} was below --method=source_only here: {why}.")
    return [*said, *kind.remarks(values, len(data.known))]
