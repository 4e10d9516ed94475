"""Writes a SavedModel that TensorFlow Serving serves, and makes sure that it answers as the model in memory."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gsda_tf.compat import errors_only, tf_variable
from gsda_tf.data import images
from gsda_tf.data.domain import evenly
from gsda_tf.data.images import ImageGeometry
from gsda_tf.errors import TrainingError, choose, explained, shown
from gsda_tf.files import disk_errors
from gsda_tf.models.extractor import Extractor, build_extractor
from gsda_tf.progress import timed
from gsda_tf.runs.contents import described
from gsda_tf.runs.exported import LABELS, place, writing_folder
from gsda_tf.serving import fresh, other_formats
from gsda_tf.serving.module import ServingModule, answers, write_warmup
from gsda_tf.serving.seen import SEEN, kept

TOLERANCE = 1e-5
"""Largest difference of a probability between the export and the model in memory."""

MIXED_TOLERANCE = 1e-3
"""The same where half precision is asked for. Measured as 0 with small_cnn, MobileNet and ResNet-50: both processes run
the same graph. Most differences to float32 are larger (3e-4 to 6e-2), so an export in that does not pass."""

_NO_FORM = NotImplementedError, TypeError, ValueError, AssertionError
"""What Keras and TensorFlow raise about networks that cannot be written so."""
_SAMPLES = 8
"""Real images of the target by which an export is checked: encoded, as files are; or features."""
_LITE_TOLERANCE = 1e-3
"""The same of TFLite, whose kernels add up in another order."""


def export_model(
    extractor: keras.Model,
    classifier: keras.Model,
    class_names: Sequence[str],
    geometry: ImageGeometry,
    export_root: str,
    assets: Mapping[str, Any],
    samples: Sequence[bytes] | np.ndarray,
    tolerance: float = TOLERANCE,
    formats: Sequence[str] = ("saved_model",),
    committee: Callable | None = None,
) -> str:
    """Writes `export_root/<version>/`, `<version>.keras`, `<version>.tflite`, one more than the highest version there.

    The files have `<version>.labels.txt` beside them, a class a line. Each is written aside, loaded in a fresh process,
    asked about `samples`, and only when all answer rightly moved into place.

    Args:
      extractor: E, images [N, S, S, 3] -> f [N, d].
      classifier: C, f -> logits [N, r].
      class_names: r names.
      geometry: of the network's input.
      export_root: folder of the versions.
      assets: JSON files to carry along, contents by file name without its ending.
      samples: JPEG or PNG files, real ones, for the check and the warm-up requests; or float32 [n, e], then the export
        takes features in place of images.
      tolerance: largest difference of a probability.
      formats: of `other_formats.FORMATS`, what is written.
      committee: as `ServingModule` takes it; of a SavedModel.

    Returns:
      The folder of the new version, or the file of the first format.

    Raises:
      TrainingError: the model has no such form: the loaded export answers otherwise than it, or does not answer.
      UserError: the disk is full, or the folder cannot be written.
    """
    for name in formats:
        choose("format", name, other_formats.FORMATS)
    with disk_errors(f"writing an export to {export_root}"), writing_folder(export_root) as aside:
        seen, expected, made = _seen(geometry, samples), None, []
        question, answer = os.path.join(aside, "question.npz"), os.path.join(aside, "answer.npz")
        encoded = [] if isinstance(samples, np.ndarray) else [np.frombuffer(sample, np.uint8) for sample in samples]
        np.savez(question, *encoded, seen=np.asarray(seen, np.float32))
        for kind in (kind for kind in other_formats.FORMATS if kind in formats):
            served = kind == "saved_model"
            made.append(os.path.join(aside, "model" if served else f"model.{kind}"))
            what = f"Nothing was written, this model has no right form as --format={kind}"
            todo = "Every model has --format=saved_model, if its numbers are finite."
            with fresh.started(aside) as process, explained(what, todo, _NO_FORM, TrainingError):
                with timed("export" if served else kind), errors_only():
                    if served:
                        _save(extractor, classifier, class_names, geometry, made[0], assets, samples, committee)
                    else:
                        other_formats.write(kind, extractor, classifier, seen.shape[1:], made[-1])
                with timed("check"):
                    if expected is None:
                        expected = _in_memory(extractor, classifier, committee, seen)
                    fresh.ask(process, [kind, made[-1], question, answer])
                    with np.load(answer) as loaded:
                        _compare(kind, loaded, expected, class_names, tolerance)
        if made != [os.path.join(aside, "model")]:
            made.append(os.path.join(aside, "model" + LABELS))
            with open(made[-1], "w", encoding="utf-8") as file:
                file.writelines(f"{shown(name)}\n" for name in class_names)
        return place(made, export_root)[0]


def export_experiment(
    experiment,
    export_root: str,
    summary: Mapping[str, Any],
    precision: str = "float32",
    formats: Sequence[str] = ("saved_model",),
    committee: Callable | None = None,
) -> str:
    """Exports E and C of an `Experiment` so that they compute in `precision`; see `export_model`."""
    data, target = experiment.settings.data, experiment.data.target
    names = list(experiment.data.class_names)
    run = described(experiment.settings.flat(), {"task": experiment.data.name, "class_names": names})
    assets = {"class_names": names, "summary": dict(summary), "settings": run, **experiment.method.assets()}
    if experiment.data.source is not target:  # noise in place of data that are not at hand is both
        assets[SEEN] = kept(experiment)
    return export_model(
        _extractor(experiment, precision),
        experiment.deployed[1],
        experiment.data.class_names,
        ImageGeometry(data.image_size, data.resize_size),
        export_root,
        assets,
        target.records.samples(evenly(len(target), _SAMPLES)),
        TOLERANCE if precision == "float32" else MIXED_TOLERANCE,
        formats,
        committee,
    )


def _extractor(experiment, precision: str) -> keras.Model:
    """The experiment's E, or one with the same weights that computes in another precision."""
    settings, trained = experiment.settings, experiment.deployed[0]
    if settings.device.precision == precision:
        return trained
    # The weights come from the trained one: none are to be loaded.
    blank = dataclasses.replace(settings.model, weights="none")
    other = build_extractor(blank, settings.data.image_size, precision)
    for new, old in zip(other.backbone.variables, trained.backbone.variables):
        tf_variable(new).assign(tf_variable(old).numpy())
    return Extractor(other.preprocess, other.backbone, trained.bottleneck)  # which is float32 in any precision


def _save(extractor, classifier, class_names, geometry, path, assets, samples, committee) -> None:
    files = []
    for name, content in assets.items():
        files.append(os.path.join(os.path.dirname(path), f"{name}.json"))
        with open(files[-1], "w", encoding="utf-8") as file:
            file.write(json.dumps(content))  # by parts or with an indent it takes seconds of a million numbers
    units = samples.shape[1] if isinstance(samples, np.ndarray) else 0
    module = ServingModule(extractor, classifier, class_names, geometry, files, units, committee=committee)
    tf.saved_model.save(module, path, signatures=module.signatures())
    write_warmup(path, samples, geometry.image_size)


def _seen(geometry: ImageGeometry, samples: Sequence[bytes] | np.ndarray) -> np.ndarray:
    """Returns what the network is given in evaluation: uint8 [n, S, S, 3], or the features."""
    if isinstance(samples, np.ndarray):
        return samples
    return np.stack([images.seen(tf.constant(sample), geometry) for sample in samples])


def _in_memory(extractor, classifier, committee, seen: np.ndarray) -> dict[str, np.ndarray]:
    """Answers by name as evaluation gets them; not by way of the module that is checked."""
    # On the CPU, as in the process that checks: what a GPU computes differs by more than the tolerance.
    with tf.device("CPU:0"):
        said = answers(extractor, classifier, committee, tf.constant(seen))
        return {name: value.numpy() for name, value in said.items() if name != "features"}


def _compare(
    kind: str,
    answer: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    names: Sequence[str],
    tolerance: float,
) -> None:
    tolerance = max(tolerance, _LITE_TOLERANCE) if kind == "tflite" else tolerance
    due = [names[best] for best in answer["probabilities"].argmax(axis=1)]
    labels = [label.decode() for label in answer["label"]] if "label" in answer else due
    if not labels or "" in labels:
        bad = f"{labels.count('')} of {len(labels)} sample images"
        raise ValueError(f"it could not decode {bad}, expected images that training could read, at least one")
    for name in expected if kind == "saved_model" else ("probabilities",):
        difference = np.abs(answer[name] - expected[name]).max(initial=0.0)
        if not difference <= tolerance:  # also catches NaN
            differ = f"{name} differ by {difference:.2g}, at most {tolerance:g} was expected"
            raise ValueError(f"it answers otherwise than the model in memory, {differ}")
    if labels != due:
        raise ValueError(f"it names classes wrongly, {labels} where {due} was expected")
