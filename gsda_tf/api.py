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
import hashlib
import html
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gsda_tf import job, recipes
from gsda_tf import methods as methods_lib
from gsda_tf.choosing import auto
from gsda_tf.data import pipeline
from gsda_tf.data.domain import UNLABELLED
from gsda_tf.data.domain import Domain as _Domain
from gsda_tf.data.features import FeatureRecords
from gsda_tf.data.records import ArrayRecords, FileRecords
from gsda_tf.datasets.own.arrays import plain_labels
from gsda_tf.errors import UserError
from gsda_tf.files import replacing
from gsda_tf.methods.base import Method
from gsda_tf.runs.contents import read_metrics, read_summary
from gsda_tf.settings import names
from gsda_tf.training.distribution import configure_devices
from gsda_tf.training.evaluator import Evaluator
from gsda_tf.training.experiment import Experiment, restore
from gsda_tf.training.inference import Outputs

_KEPT = os.path.join("runs", "arrays")


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
        return cls("folders", {"_dir": path})

    @classmethod
    def from_list(cls, path: str, image_root: str = "") -> Domain:
        """A file with "path label" a line, or "path" for an unlabelled target.

        Paths are relative to `image_root`, or to the file's own folder.
        """
        return cls("lists", {"_list": path, "_root": image_root})

    @classmethod
    def from_tfds(cls, name: str) -> Domain:
        """An image classification set of TFDS, `NAME[/CONFIG][:SPLIT]`."""
        return cls("tfds", {"": name})

    @classmethod
    def from_arrays(
        cls, values: np.ndarray, labels: Sequence | None = None, class_names: Sequence[str] = (), folder: str = _KEPT
    ) -> Domain:
        """Arrays in memory.

        Args:
          values: images, uint8 [n, height, width, 3] or [n, height, width]; or features of any model, float [n, e].
          labels: [n] or [n, 1], numbers or names, -1, None or NaN where there is none, or one-hot [n, r]; None for an
            unlabelled target.
          class_names: of labels that are numbers.
          folder: where they are kept by their content, so that the run can be restored and gone on with.
        """
        values = np.asarray(values)
        held = {"images" if values.dtype == np.uint8 else "features": values}
        if labels is not None:
            try:
                held["labels"] = plain_labels(labels)
            except ValueError as error:
                raise UserError(f"Of the arrays given, {error}.") from error
        if len(class_names):
            held["class_names"] = np.asarray(class_names)
        digest = hashlib.blake2b(digest_size=8)
        for name, array in sorted(held.items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        path = os.path.join(folder, f"{digest.hexdigest()}.npz")
        if not os.path.exists(path):
            with replacing(path) as file:
                np.savez(file, **held)
        return cls("arrays", {"": path})

    @classmethod
    def from_dataset(cls, dataset: tf.data.Dataset, class_names: Sequence[str] = (), folder: str = _KEPT) -> Domain:
        """A finite tf.data set of images or features, alone or with labels, in batches or one by one; read to its end.

        Raises:
          UserError: its elements are something else.
        """
        spec = dataset.element_spec
        labelled = isinstance(spec, tuple) and len(spec) == 2
        rank = (spec[0] if labelled else spec).shape.rank if labelled or hasattr(spec, "shape") else None
        if rank is None:
            raise UserError(f"The data set gives {spec}: expected images or features, or (images, labels).")
        if (labelled and spec[1].shape.rank == 0) or (not labelled and rank in (1, 3)):
            dataset = dataset.batch(256)
        parts = list(dataset.with_options(pipeline.options()).as_numpy_iterator())
        if not parts:
            raise UserError("The data set is empty: expected at least one image.")
        values = np.concatenate([part[0] if labelled else part for part in parts])
        labels = np.concatenate([part[1] for part in parts]) if labelled else None
        return cls.from_arrays(values, labels, class_names, folder)

    def given(self, role: str) -> dict[str, str]:
        """Settings by name for the domain as "source" or "target"."""
        return {f"{role}{name}": value for name, value in self.settings.items() if value}


def adapt(
    source: Domain,
    target: Domain,
    method: str | type[Method] = "gsda",
    extractor: str | keras.Model | None = None,
    **settings: Any,
) -> Run:
    """Trains a classifier for the target, or goes on with a run that was stopped.

    Args:
      source: labelled.
      target: whose labels, if there are any, only score the result.
      method: by name, with added terms behind a plus ("gsda+mcc"), or a class of your own; "auto" trains several and
        takes one without target labels (`run.summary["choice"]` says why).
      extractor: by name, or a Keras model of your own: images -> features.
      **settings: as the flags of the train command: steps=1000, workdir="runs/mine", mcc_temperature=3.0 ...

    Raises:
      UserError: for anything that you can mend, in one sentence.
    """
    if source.pipeline != target.pipeline:
        raise UserError(
            f"The source is from {source.pipeline}, the target from {target.pipeline}: expected both from the same."
        )
    given = {"pipeline": source.pipeline, **source.given("source"), **target.given("target"), **settings}
    if isinstance(method, type):
        methods_lib.register(method)
        method = method.name
    given["method"], add = (method, ()) if ":" in method else methods_lib.split(method)
    if add:
        given["add"] = add
    if extractor is not None:
        given["extractor"] = _kept_model(extractor) if isinstance(extractor, keras.Model) else extractor
    if given["method"] == auto.NAME:
        mine = {name: given.get(name) for name in names("restoring") if name != "method"}
        return Run(job.run_pool(given)["workdir"], mine)
    resolved = recipes.resolve(given)
    configure_devices(resolved.device)
    mine = {name: value for name, value in resolved.flat().items() if name in names("restoring")}
    return Run(job.run(resolved)["workdir"], mine)


def load(workdir: str, method: str | None = None, trust_extractor: bool = False, **settings: Any) -> Run:
    """A run from its folder.

    Args:
      workdir: its folder.
      method: FILE.py:Name, if the run was trained by code in a file and you trust that file; it is run.
      trust_extractor: whether its extractor may be run if it is a program.
      **settings: where its data lie and features are kept on this machine: data_dir, source_dir, feature_cache_dir ...

    Raises:
      UserError: there is none.
    """
    return Run(workdir, {**settings, "method": method, "trust_extractor": trust_extractor})


def list_methods() -> dict[str, str]:
    """Title of every method by its name."""
    return {name: methods_lib.title(name) for name in methods_lib.method_names()}


class Run:
    """A finished run.

    Args:
      workdir: its folder.
      mine: settings that its folder does not decide: the programs in it that may be run, where data lie here.

    Attributes:
      workdir: its folder.
      summary: what summary.json holds.
    """

    def __init__(self, workdir: str, mine: Mapping[str, Any] | None = None):
        summary = read_summary(workdir)
        if summary is None:
            raise UserError(f"{workdir} holds no finished run: expected summary.json there.")
        self.workdir, self.summary = workdir, summary
        self._experiment: Experiment | None = None
        self._mine = {name: value for name, value in (mine or {}).items() if value}

    @property
    def scores(self) -> dict[str, float | None]:
        """Accuracies, 0..1, and scores without labels, of the last step."""
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

    @property
    def experiment(self) -> Experiment:
        """The networks with the weights of the newest checkpoint, and the data."""
        if self._experiment is None:
            self._experiment, _ = restore(self.workdir, **self._mine)
        return self._experiment

    @property
    def extractor(self) -> keras.Model:
        """E: images uint8 [N, S, S, 3], or features, -> f [N, d]."""
        return self.experiment.deployed[0]

    @property
    def classifier(self) -> keras.Model:
        """C: f [N, d] -> logits [N, r]."""
        return self.experiment.deployed[1]

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return tuple(self.experiment.data.class_names)

    def predict(self, values: np.ndarray | Sequence[str]) -> dict[str, np.ndarray]:
        """Predicts labels.

        Args:
          values: images uint8 [n, h, w, 3], features float [n, e], or paths of image files.

        Returns:
          "label" [n], names of classes; "score" float [n], their probabilities; "probabilities" float [n, r].
        """
        probabilities = self._ask(values).probabilities
        labels = np.asarray(self.class_names)[probabilities.argmax(axis=1)]
        return {"label": labels, "score": probabilities.max(axis=1), "probabilities": probabilities}

    def features(self, values: np.ndarray | Sequence[str]) -> np.ndarray:
        """f, float32 [n, d], of the same."""
        return self._ask(values).features

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

        formats = format.split(",") if isinstance(format, str) else format
        return export_experiment(
            self.experiment, os.path.join(self.workdir, "export"), dict(self.summary), formats=formats
        )

    def report(self) -> str:
        """Writes the page of pictures again; returns its path."""
        from gsda_tf.reporting.report import write_report

        return write_report(self.workdir)

    def _ask(self, values: np.ndarray | Sequence[str]) -> Outputs:
        experiment = self.experiment
        if isinstance(values, (str, os.PathLike)) or len(values) == 0:
            raise UserError("Expected an array with at least one row, or a list of paths.")
        if isinstance(values[0], (str, os.PathLike)):
            records: Any = FileRecords([os.fspath(path) for path in values])
        elif np.ndim(values) == 2:
            rows = np.asarray(values, np.float32)[:, None]
            records = FeatureRecords(rows, "array")
            expected = experiment.input_spec.shape
            if rows.shape[-1] != expected[-1] or len(expected) != 1:
                raise UserError(
                    f"Features of {rows.shape[-1]} numbers were given: this run takes {expected.as_list()}."
                )
        else:
            records = ArrayRecords(np.asarray(values), "array")
        return experiment.inference(_Domain("given", records, np.full(len(records), UNLABELLED, np.int32)))

    def _repr_html_(self) -> str:
        rows = {"method": self.summary["method"], **self.scores, "run": self.workdir}
        shown = {k: f"{v:.4f}" if isinstance(v, float) else str(v) for k, v in rows.items()}
        cells = "".join(f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in shown.items())
        return f"<table>{cells}</table>"

    def __repr__(self) -> str:
        value = self.scores.get("accuracy/target")
        shown = "unlabelled" if value is None else f"{value:.4f}"
        return f"Run({self.workdir!r}, {self.summary['method']}, target {shown})"


def _kept_model(model: keras.Model) -> str:
    """Saves a model by its content; returns the file."""
    digest = hashlib.blake2b(model.to_json().encode(), digest_size=8)
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    path = os.path.join(_KEPT, f"{digest.hexdigest()}.keras")
    if not os.path.exists(path):
        os.makedirs(_KEPT, exist_ok=True)
        model.save(path)
    return path
