"""`--init_from`: a run starts from the weights of another, or of an export that was handed on without its run."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from gsda_tf.compat import KERAS_3, tf_variable
from gsda_tf.errors import UserError
from gsda_tf.evaluation.shares import UNIFORM
from gsda_tf.methods import get_method, method_names
from gsda_tf.methods.base import TermMethod
from gsda_tf.runs import checkpoints, exported
from gsda_tf.runs.contents import settings_of
from gsda_tf.settings import REJECT, Settings, names


def _described(start: str) -> dict[str, Any]:
    """What settings.json of a run, or of an export, says of it; its classes are those of C, which "unknown" is not."""
    export = exported.find(start)
    told = settings_of(os.path.join(export, "assets") if export else start, "init_from")
    known = -1 if told["settings"].get("unknown") == REJECT else None
    return {**told, "class_names": list(told["class_names"])[:known]}


def inherited(start: str) -> dict[str, Any]:
    """Settings that follow from those of the run, or export, whose weights are taken, by name.

    Raises:
      UserError: neither is there.
    """
    before = _described(start)["settings"]
    # The weights are at hand: none need be downloaded.
    return {**{name: before[name] for name in names("network")}, "weights": "none"}


def classes_without_source(settings: Settings) -> list[str] | None:
    """Returns the classes of the run, or export, that is adapted to a target without a source; None where that is not
    asked for.

    Raises:
      UserError: neither is there, or the method needs a source.
    """
    run, method = settings.run.init_from, settings.method.method
    if not (run and settings.data.without_source):
        return None
    if not issubclass(get_method(method), TermMethod):
        able = ", ".join(name for name in method_names() if issubclass(get_method(name), TermMethod))
        raise UserError(f"--method={method} needs a source, and there is none: choose one of {able}.")
    return _described(run)["class_names"]


class Initial:
    """The weights of E and C in the newest whole checkpoint of a run, or in an export.

    Args:
      run: its folder, or that of the export.
      quiet: whether nothing is said about it.

    Raises:
      UserError: neither is there, or it is of other versions; no weights can be read.
    """

    def __init__(self, run: str, quiet: bool = False):
        written, self._export = _described(run), exported.find(run)
        self._run, self._settings, self._names = run, written["settings"], list(written["class_names"])
        self._say: Callable[[str], None] = (lambda said: None) if quiet else functools.partial(print, flush=True)
        self._path, self._reader = checkpoints.newest(run)
        if not self._path:
            raise UserError(f"--init_from={run} has no weights that can be read: choose a run that was trained.")
        checkpoints.check_widths(run, inherited(run), self._reader.get_variable_to_shape_map())

    def into_extractor(self, extractor: keras.Model, now: dict[str, Any]) -> None:
        """Gives E the run's weights.

        Args:
          extractor: E.
          now: settings of the new run, by name.

        Raises:
          UserError: it is another network.
        """
        variables = [tf_variable(variable) for variable in extractor.variables]
        values = self._read("extractor", len(variables))
        if [tuple(v.shape) for v in variables] != [v.shape for v in values]:
            then = self._settings
            differ = [f"--{n}={then[n]} there, {now[n]} now" for n in names("network") if then[n] != now[n]]
            told = "; ".join(differ) or f"--method={then['method']} has weights of other shapes"
            todo = "leave these flags out, and they follow that run" if differ else "choose one of a method that trains"
            raise UserError(f"--init_from={self._run} has another network ({told}): {todo}.")
        for variable, value in zip(variables, values):
            variable.assign(value)

    def into_classifier(self, classifier: keras.Model, names: Sequence[str]) -> bool:
        """Gives C the run's weights, each class those of its name, if the run knows all classes; says so or not.

        Returns:
          Whether it did.
        """
        step = "" if self._export else os.path.basename(self._path).replace("ckpt-", ", step ")
        started = f"Starts from the weights of {self._run}{step}"
        place = {name: label for label, name in enumerate(self._names)}
        new = [name for name in names if name not in place]
        variables = [tf_variable(v) for v in classifier.variables]
        values = self._read("classifier", len(variables))
        shapes = [(*v.shape[:-1], len(self._names)) for v in variables]
        if new or shapes != [v.shape for v in values]:
            why = f"that run does not know {len(new)} of the {len(names)} classes, such as {new[0]!r}" if new else ""
            self._say(f"{started}; the classifier starts anew: {why or 'that run has another'}.")
            return False
        columns = [place[name] for name in names]
        for variable, value in zip(variables, values):
            variable.assign(value[..., columns])
        some = f", {len(names)} of its {len(self._names)} classes" if len(names) < len(self._names) else ""
        self._say(f"{started}{some}.")
        return True

    def _read(self, network: str, count: int) -> list[np.ndarray]:
        """The values of a network that here has `count` variables."""
        shapes, values = self._reader.get_variable_to_shape_map(), []
        group = "weights" if self._export else network
        while (name := f"{group}/{len(values)}/.ATTRIBUTES/VARIABLE_VALUE") in shapes:
            values.append(self._reader.get_tensor(name))
        if not self._export:
            return values
        # C's come last; behind them what answers "unknown", or in Keras 2 what moves logits to other class shares.
        moved = not KERAS_3 and self._settings.get("target_prior", UNIFORM) != UNIFORM
        end = len(values) - (2 if self._settings.get("unknown") == REJECT else moved)
        return values[:count] if network == "extractor" else values[max(end - count, 0) : end]


def refuse_own(init_from: str, workdir: str) -> None:
    """A run cannot start from its own folder, nor from what is in it: --overwrite would clear the weights away before
    they are read.

    Raises:
      UserError: it is the same.
    """
    start, own = os.path.realpath(init_from), os.path.realpath(workdir)
    if init_from and f"{start}{os.sep}".startswith(f"{own}{os.sep}"):
        raise UserError(
            f"--init_from={init_from} is the folder of this very run, or in it: give the new one another, with "
            "--workdir=DIR."
        )


def start(init_from: str, workdir: str) -> Initial | None:
    """Whose weights a run starts from; its own, if it has been at work before.

    A frozen backbone is asked for features before the run's checkpoint is restored, so it has to be there already.
    """
    if not init_from:
        return None
    own = bool(checkpoints.newest(workdir)[0])
    return Initial(workdir if own else init_from, quiet=own)
