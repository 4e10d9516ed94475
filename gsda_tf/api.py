"""`import gsda_tf` offers this: two domains, a method, a run.

    import gsda_tf

    run = gsda_tf.adapt(
        gsda_tf.Domain.from_folder("photos/labelled"), gsda_tf.Domain.from_folder("photos/new"), method="mcc"
    )
    run.scores["accuracy/target"], run.predict(["new.jpg"])["label"]

The same code as the commands': settings are the flags' names, errors are their sentences, raised as `UserError`.
"""

from __future__ import annotations

import dataclasses
import functools
import glob
import hashlib
import html
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gsda_tf import handed, job, recipes
from gsda_tf import methods as methods_lib
from gsda_tf.choosing import auto
from gsda_tf.choosing.committee import committee
from gsda_tf.data.checking import find_bad
from gsda_tf.data.domain import UNLABELLED, DomainData
from gsda_tf.data.image_files import BadImageError
from gsda_tf.errors import UserError, choose
from gsda_tf.files import write_atomically
from gsda_tf.methods.base import Method
from gsda_tf.models import backbones
from gsda_tf.runs.contents import read_metrics, read_summary, settings_of
from gsda_tf.settings import names
from gsda_tf.training.evaluator import Evaluator
from gsda_tf.training.experiment import Experiment, restore
from gsda_tf.training.inference import Outputs


@dataclasses.dataclass(frozen=True)
class Domain:
    """The images, or features, of one place.

    Attributes:
      pipeline: that reads them.
      settings: its settings, with "source" or "target" left out of their names: {"dir": ...}.
    """

    pipeline: str
    settings: Mapping[str, str]

    @classmethod
    def from_folder(cls, path: str) -> Domain:
        """Image files, one folder a class; a target may be one folder of unlabelled images."""
        return cls("folders", {"_dir": _absolute(path)})

    @classmethod
    def from_list(cls, path: str, image_root: str = "") -> Domain:
        """A file with "path label" a line, or "path" for an unlabelled target.

        Paths are relative to `image_root`, or to the file's own folder.
        """
        return cls("lists", {"_list": _absolute(path), "_root": _absolute(image_root)})

    @classmethod
    def from_tfds(cls, name: str) -> Domain:
        """An image classification set of TFDS, `NAME[/CONFIG][:SPLIT]`; or one that was stored, `FOLDER[:SPLIT]`."""
        folder, colon, split = str(name).partition(":")
        stored = os.path.isfile(os.path.join(_absolute(folder), "features.json"))
        return cls("tfds", {"": f"{_absolute(folder)}{colon}{split}" if stored else name})

    @classmethod
    def from_table(cls, frame: Any, image: str = "image", label: str = "", folder: str = "") -> Domain:
        """A table with a row an image, such as a pandas DataFrame.

        Args:
          frame: columns by name.
          image: the column of their paths, or of the images themselves.
          label: the column of the classes; "" for an unlabelled target.
          folder: see `from_arrays`.
        """
        if not (hasattr(frame, "columns") or isinstance(frame, Mapping)):
            raise UserError(f"A {type(frame).__name__} was given: expected a table, such as a pandas DataFrame.")
        columns = {str(name): name for name in getattr(frame, "columns", frame)}
        wanted = (image,) if label in ("", None) else (image, label)
        return cls.from_arrays(*(frame[columns[choose("column", str(n), columns)]] for n in wanted), folder=folder)

    @classmethod
    def from_arrays(
        cls, values: Any, labels: Sequence | None = None, class_names: Sequence[str] = (), folder: str = ""
    ) -> Domain:
        """Arrays in memory, or paths of image files.

        Args:
          values: images, uint8 or float [n, height, width, 3] or [n, height, width]; features of any model, [n, e]; or
            paths. See `handed.rows`.
          labels: [n] or [n, 1], numbers or names, -1, None or NaN where there is none, or one-hot [n, r]; None for an
            unlabelled target.
          class_names: of labels that are numbers.
          folder: where they are kept by their content, so that the run can be restored and gone on with; "" is
            `runs/arrays`.

        Raises:
          UserError: they are something else.
        """
        return cls(*handed.keep(values, labels, class_names, folder))

    @classmethod
    def from_dataset(cls, dataset: tf.data.Dataset, class_names: Sequence[str] = (), folder: str = "") -> Domain:
        """A finite tf.data set, read to its end: of images, features or paths, alone, with labels, or in dictionaries;
        in batches or one by one.

        Raises:
          UserError: its elements are something else.
        """
        values, labels = handed.of_dataset(dataset)
        named = class_names is not None and len(class_names)
        return cls.from_arrays(values, labels, class_names if named else getattr(dataset, "class_names", ()), folder)

    @classmethod
    def joined(cls, domains: Sequence[Domain]) -> Domain:
        """Several sources as one, whose batches are in balance over them."""
        kinds = {getattr(each, "pipeline", None) for each in domains}
        roots = {each.settings.get("_root") for each in domains if hasattr(each, "settings")}
        if len(kinds) != 1 or not kinds <= {"folders", "lists", "arrays"} or len(roots) > 1:
            raise UserError("Several sources are taken where all are from folders, from lists of one root, or arrays.")
        settings = {n: ",".join(str(each.settings[n]) for each in domains) for n in domains[0].settings}
        return cls(domains[0].pipeline, {**settings, **({"_root": roots.pop()} if "_root" in settings else {})})

    def given(self, role: str) -> dict[str, str]:
        """Settings by name for the domain as "source" or "target"."""
        return {f"{role}{name}": value for name, value in self.settings.items() if value}


def _absolute(path: Any) -> Any:
    """A path that means the same wherever the process goes; what is none is told by the settings."""
    is_path = isinstance(path, (str, os.PathLike)) and os.fspath(path) and "://" not in os.fspath(path)
    return os.path.abspath(os.path.expanduser(path)) if is_path else path


def adapt(
    source: Domain | Sequence[Domain] | None,
    target: Domain,
    method: str | type[Method] | None = None,
    extractor: str | keras.Model | None = None,
    **settings: Any,
) -> Run:
    """Trains a classifier for the target, or goes on with a run that was stopped.

    Args:
      source: labelled; or several such domains, of folders or of arrays; or None, where the run of `init_from` is
        adapted without it.
      target: whose labels, if there are any, only score the result.
      method: by name, with added terms behind a plus ("gsda+mcc"), or a class of your own; "auto" trains several and
        takes one without target labels (`run.summary["choice"]` says why); None: "spl" on a frozen backbone, else
        "gsda".
      extractor: by name, or a Keras model of your own: images -> features.
      **settings: as the flags of the train command: steps=1000, workdir="runs/mine", mcc_temperature=3.0 ...

    Raises:
      UserError: for anything that you can mend, in one sentence.
    """
    if source is None and isinstance(target, Domain):
        source = Domain(target.pipeline, {})
    if isinstance(source, (list, tuple)):
        source = Domain.joined(source)
    for given in (source, target):
        if not isinstance(given, Domain):
            raise UserError(f"A {type(given).__name__} was given: expected a Domain, such as Domain.from_folder(PATH).")
    if source.pipeline != target.pipeline:
        raise UserError(
            f"The source is from {source.pipeline}, the target from {target.pipeline}: expected both from the same. "
            "Images of one size are arrays, those of several sizes lists."
        )
    given = {"pipeline": source.pipeline, **source.given("source"), **target.given("target"), **settings}
    if method := _named(method):
        given["method"], add = (method, ()) if ":" in method else methods_lib.split(method)
        if add:
            given["add"] = add
    if extractor is not None:
        given["extractor"] = _kept_model(extractor) if isinstance(extractor, keras.Model) else extractor
    summary = job.adapt(given)
    known = given if method == auto.NAME else recipes.resolve(given).flat()
    mine = {name: known.get(name) for name in names("restoring") if known.get(name) != auto.NAME}
    return Run(summary["workdir"], mine)


def load(workdir: str, method: str | type[Method] | None = None, trust_extractor: bool = False, **settings: Any) -> Run:
    """A run from its folder. To predict and export, its data need not be there.

    Args:
      workdir: its folder.
      method: FILE.py:Name, if the run was trained by code in a file and you trust that file; it is run. Or the class.
      trust_extractor: whether its extractor may be run if it is a program.
      **settings: where its data, its extractor's file and kept features lie here: data_dir, source_dir, extractor ...

    Raises:
      UserError: there is none.
    """
    if not isinstance(workdir, (str, os.PathLike)):
        raise UserError(f"{workdir!r} was given: expected the folder of a run.")
    for name in settings:
        choose("setting", name, names("restoring"))
    mine = {**settings, "method": _named(method), "trust_extractor": trust_extractor}
    return Run(os.path.expanduser(os.fspath(workdir)), mine)


def _named(method: str | type[Method] | None) -> str | None:
    if isinstance(method, type):
        methods_lib.register(method)
        return method.name
    if not isinstance(method, (str, type(None))):
        raise UserError(f"method={method!r}: expected a name, or a class of your own.")
    return method


def list_methods() -> dict[str, str]:
    """Title of every method by its name."""
    return {name: methods_lib.title(name) for name in methods_lib.method_names()}


class Page(str):
    """The path of a page."""

    def _repr_html_(self) -> str:
        with open(self, encoding="utf-8") as file:
            return f'<iframe srcdoc="{html.escape(file.read())}" width="100%" height="600"></iframe>'


class Run:
    """A finished run. Pickled, it brings the files that a prediction takes, and needs its folder no more.

    Args:
      workdir: its folder.
      mine: settings that its folder does not decide: the programs in it that may be run, where data lie here.

    Attributes:
      workdir: its folder, absolute.
      summary: what summary.json holds.
      held: a folder that goes with this object.
    """

    held: tempfile.TemporaryDirectory | None = None

    def __init__(self, workdir: str, mine: Mapping[str, Any] | None = None):
        summary = read_summary(workdir)
        if summary is None:
            raise UserError(f"{workdir} holds no finished run: expected summary.json there.")
        self.workdir, self.summary = os.path.abspath(workdir), summary
        self._mine = {name: value for name, value in (mine or {}).items() if value}

    def __getstate__(self) -> dict[str, Any]:
        files = {}
        for pattern in ("s*.json", "checkpoints/*"):  # settings and summary
            for path in glob.glob(os.path.join(glob.escape(self.workdir), pattern)):
                with open(path, "rb") as file:
                    files[os.path.relpath(path, self.workdir)] = file.read()
        return {"files": files, "mine": self._mine}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.held = tempfile.TemporaryDirectory(prefix="gsda_tf")
        for path, content in state["files"].items():
            write_atomically(os.path.join(self.held.name, path), content)
        self.__init__(self.held.name, state["mine"])

    @property
    def scores(self) -> dict[str, float | None]:
        """Accuracies, 0..1, and the A-distance of the domains, of the last step."""
        return {name: v for name, v in self.summary.items() if name.startswith(("accuracy/", "score/"))}

    @property
    def history(self):
        """The log, a row a step: a pandas DataFrame where pandas is installed, else a list of dicts."""
        lines = read_metrics(self.workdir)
        try:
            import pandas
        except ImportError:
            return lines
        return pandas.DataFrame(lines).groupby("step", as_index=False).last()

    @functools.cached_property
    def experiment(self) -> Experiment:
        """The networks with the weights of the newest checkpoint, and the data."""
        return restore(self.workdir, **self._mine)[0]

    @functools.cached_property
    def _networks(self) -> Experiment:
        """The same without the data, which need not be here."""
        return self.__dict__.get("experiment") or restore(self.workdir, data=False, **self._mine)[0]

    @property
    def extractor(self) -> keras.Model:
        """E: images uint8 [N, S, S, 3], or features, -> f [N, d]."""
        return self._networks.deployed[0]

    @property
    def classifier(self) -> keras.Model:
        """C: f [N, d] -> logits [N, r]."""
        return self._networks.deployed[1]

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return tuple(settings_of(self.workdir)["class_names"])

    def predict(self, values: Any) -> dict[str, np.ndarray]:
        """Predicts labels.

        Args:
          values: images, features or paths, many or one, a folder, a table: see `handed.rows`.

        Returns:
          "label" [n], names of classes; "score" float [n], their probabilities; "probabilities" float [n, r]; "error"
          [n], why a row has no answer, whose label is "" and whose numbers are NaN; else "". Of files their "path" [n].
        """
        rows, outputs, errors = self._ask(values)
        probabilities = outputs.probabilities
        labels = np.asarray(self.class_names)[np.nan_to_num(probabilities).argmax(axis=1)]
        return {
            **({"path": np.asarray(rows.values)} if rows.kind == "paths" else {}),
            "label": np.where(errors == "", labels, ""),
            "score": probabilities.max(axis=1),
            "probabilities": probabilities,
            "error": errors,
        }

    def features(self, values: Any) -> np.ndarray:
        """f, float32 [n, d], of the same; NaN where there is an error."""
        return self._ask(values)[1].features

    def evaluate(self) -> dict[str, float | None]:
        """The scores again, of the newest checkpoint, on the data as they are now."""
        experiment = self.experiment
        return Evaluator(experiment.data, experiment.settings.data, experiment.inference, experiment.inputs)().scores

    def export(self, format: str | Sequence[str] = "saved_model") -> str:
        """Writes one more version; returns the folder of the SavedModel, or else the file.

        Args:
          format: "saved_model", "keras", "tflite", or several; see `launch.export`.

        Raises:
          UserError: the model has no such form; nothing is written.
        """
        from gsda_tf.serving.export import export_experiment

        formats = format if isinstance(format, (list, tuple)) and format else str(format).split(",")
        try:
            networks = self.experiment
        except UserError:
            networks = self._networks
            print(f"The data of {self.workdir} are not here: the export is checked on noise.")
        others, root = committee(self.workdir, networks), os.path.join(self.workdir, "export")
        return export_experiment(networks, root, dict(self.summary), formats=formats, committee=others)

    def report(self) -> Page:
        """Writes the page of pictures again; returns its path, which a notebook shows as the page."""
        from gsda_tf.reporting.report import write_report

        return Page(write_report(self.workdir))

    def _ask(self, values: Any) -> tuple[handed.Rows, Outputs, np.ndarray]:
        """What was given; outputs of each row, NaN where there is an error; and the errors, text [n], else ""."""
        networks = self._networks
        units = backbones.feature_units(networks.settings.model.extractor)
        rows = handed.rows(values, features=bool(units))
        if units and (rows.kind != "features" or rows.values.shape[1] != units):
            given = f"Features of {rows.values.shape[1]} numbers" if rows.kind == "features" else rows.kind.capitalize()
            raise UserError(f"{given} were given: this run takes features, [n, {units}].")
        errors, parts = dict(rows.errors), []
        for places, records in rows.parts():
            domain = DomainData("given", records, np.full(len(records), UNLABELLED, np.int32))
            try:
                parts.append((places, networks.inference.whatever(domain)))
            except (tf.errors.OpError, BadImageError):
                bad = dict(find_bad(domain))
                if not bad:
                    raise
                errors.update((int(places[i]), reason) for i, reason in bad.items())
                good = np.setdiff1d(np.arange(len(domain)), list(bad))
                if len(good):
                    parts.append((places[good], networks.inference.whatever(domain.chosen(good))))
        count, classes = len(rows.values), len(self.class_names)
        width = parts[0][1].features.shape[1] if parts else 0
        features, logits = np.full((count, width), np.nan, np.float32), np.full((count, classes), np.nan, np.float32)
        for places, outputs in parts:
            features[places], logits[places] = outputs.features, outputs.logits
        for place in np.flatnonzero(~np.isfinite(logits).all(axis=1)):
            errors.setdefault(int(place), "the network makes of it what is no finite number")
            features[place], logits[place] = np.nan, np.nan
        return rows, Outputs(features, logits), np.asarray([errors.get(place, "") for place in range(count)])

    def _repr_html_(self) -> str:
        from gsda_tf.reporting.report import main_pictures

        rows = {"method": self.summary["method"], **self.scores, "run": self._place()}
        shown = {k: f"{v:.4f}" if isinstance(v, float) else str(v) for k, v in rows.items()}
        cells = "".join(f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in shown.items())
        drawn = "".join(f'<img src="{uri}" width="{width}">' for uri, width in main_pictures(self.workdir))
        return f"<table>{cells}</table>{drawn}"

    def _place(self) -> str:
        """The folder as people read it."""
        near = os.path.relpath(self.workdir)
        return self.workdir if near.startswith("..") else near

    def __repr__(self) -> str:
        value = self.scores.get("accuracy/target")
        shown = "unlabelled" if value is None else f"{value:.4f}"
        return f"Run({self._place()!r}, {self.summary['method']}, target {shown})"


def _kept_model(model: keras.Model) -> str:
    """Saves a model by its content; returns the file."""
    if not model.built:
        raise UserError("The extractor is a Keras model without weights yet: give it a keras.Input, or call it once.")
    digest = hashlib.blake2b(model.to_json().encode(), digest_size=8)
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    path = os.path.join(handed.KEPT, f"{digest.hexdigest()}.keras")
    if not os.path.exists(path):
        os.makedirs(handed.KEPT, exist_ok=True)
        model.save(path)
    return path
