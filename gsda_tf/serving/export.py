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

from gsda_tf.compat import tf_variable
from gsda_tf.data import images
from gsda_tf.data.domain import Domain
from gsda_tf.data.images import ImageGeometry
from gsda_tf.errors import TrainingError, choose
from gsda_tf.files import disk_errors, printable
from gsda_tf.models.extractor import Extractor, build_extractor
from gsda_tf.progress import timed
from gsda_tf.serving import other_formats
from gsda_tf.serving.fresh import FreshProcess, fresh_process
from gsda_tf.serving.module import ServingModule
from gsda_tf.serving.versions import LABELS, place, writing_folder
from gsda_tf.serving.warmup import write_warmup

TOLERANCE = 1e-5
"""Largest difference of a probability between the export and the model in memory."""

MIXED_TOLERANCE = 1e-3
"""The same where half precision is asked for. Measured as 0 with small_cnn, MobileNet and ResNet-50: both processes run
the same graph. Most differences to float32 are larger (3e-4 to 6e-2), so an export in that does not pass."""

# Runs in a process with TensorFlow alone: the export must not need this package.
_ASK = """
model = tf.saved_model.load(arguments[0])
asked = np.load(arguments[1])
if "features" in asked:
    asked = {"features": tf.constant(asked["features"])}
else:
    asked = {"image_bytes": tf.constant([image.tobytes() for image in asked.values()])}
answer = model.signatures["serving_default"](**asked)
np.savez(arguments[2], probabilities=answer["probabilities"].numpy(), label=answer["label"].numpy().astype(bytes))
"""


def sample_images(domain: Domain, count: int = 8) -> list[bytes] | np.ndarray:
    """Returns some real images of a domain as files are: encoded. Pixels are encoded as PNG, which loses nothing.

    Of a domain of features: float32 [<=count, e].
    """
    chosen = np.linspace(0, len(domain) - 1, min(count, len(domain))).astype(np.int64)
    return domain.records.samples(chosen)


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

    Returns:
      The folder of the new version, or the file of the first format.

    Raises:
      TrainingError: the loaded export answers otherwise than the model in memory, or does not answer.
      UserError: the disk is full, or the folder cannot be written; the model has no such form.
    """
    for name in formats:
        choose("format", name, other_formats.FORMATS)
    with disk_errors(f"writing an export to {export_root}"), writing_folder(export_root) as aside:
        seen, made = _seen(geometry, samples), []
        if "saved_model" in formats:
            made.append(os.path.join(aside, "model"))
            units = samples.shape[1] if isinstance(samples, np.ndarray) else 0
            with fresh_process(_ASK, aside) as fresh:
                with timed("export"):
                    _save(extractor, classifier, class_names, geometry, aside, made[0], assets, units)
                    write_warmup(made[0], samples, geometry.image_size)
                with timed("check"):
                    answer = _ask(fresh, made[0], samples, aside)
                    expected = _in_memory(extractor, classifier, seen)  # meanwhile
                    _compare(answer(), expected, class_names, tolerance)
        others = sorted({*formats} - {"saved_model"})
        if others and not made:
            expected = _in_memory(extractor, classifier, seen)
        for name in others:
            with timed(name):
                path, difference = other_formats.write(name, extractor, classifier, aside, seen, expected)
            made.append(path)
            print(f"{name}: probabilities of {len(seen)} samples differ by at most {difference:.2g}", flush=True)
        if others:
            made.append(os.path.join(aside, "model" + LABELS))
            with open(made[-1], "w", encoding="utf-8") as file:
                file.writelines(f"{printable(name)}\n" for name in class_names)
        return place(made, export_root)[0]


def export_experiment(
    experiment,
    export_root: str,
    summary: Mapping[str, Any],
    precision: str = "float32",
    formats: Sequence[str] = ("saved_model",),
) -> str:
    """Exports E and C of an `Experiment` so that they compute in `precision`; see `export_model`."""
    data = experiment.settings.data
    return export_model(
        _extractor(experiment, precision),
        experiment.deployed[1],
        experiment.data.class_names,
        ImageGeometry(data.image_size, data.resize_size),
        export_root,
        {
            "class_names": list(experiment.data.class_names),
            "summary": dict(summary),
            **experiment.method.assets(),
        },
        sample_images(experiment.data.target),
        TOLERANCE if precision == "float32" else MIXED_TOLERANCE,
        formats,
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


def _save(extractor, classifier, class_names, geometry, aside, model_dir, assets, units) -> None:
    paths = []
    for name, content in assets.items():
        paths.append(os.path.join(aside, f"{name}.json"))
        with open(paths[-1], "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
    module = ServingModule(extractor, classifier, class_names, geometry, paths, feature_units=units)
    tf.saved_model.save(module, model_dir, signatures=module.signatures())


def _seen(geometry: ImageGeometry, samples: Sequence[bytes] | np.ndarray) -> np.ndarray:
    """Returns what the network is given in evaluation: uint8 [n, S, S, 3], or the features."""
    if isinstance(samples, np.ndarray):
        return samples
    return np.stack([images.evaluation_image(tf.constant(sample), True, geometry) for sample in samples])


def _in_memory(extractor, classifier, seen: np.ndarray) -> np.ndarray:
    """Probabilities as evaluation gets them, float32 [n, r]; not by way of the module that is checked."""
    # On the CPU, as in the process that checks: what a GPU computes differs by more than the tolerance.
    with tf.device("CPU:0"):
        seen = tf.constant(seen)
        return tf.nn.softmax(tf.function(lambda x: classifier(extractor(x, training=False)))(seen)).numpy()


def _ask(
    fresh: FreshProcess, model_dir: str, samples: Sequence[bytes] | np.ndarray, aside: str
) -> Callable[[], Mapping[str, np.ndarray]]:
    """Has the export loaded where nothing of this process is; call what is returned for probabilities and labels."""
    question, answer = os.path.join(aside, "samples.npz"), os.path.join(aside, "answer.npz")
    if isinstance(samples, np.ndarray):
        np.savez(question, features=samples)
    else:
        np.savez(question, *(np.frombuffer(sample, np.uint8) for sample in samples))
    fresh.ask([model_dir, question, answer])

    def wait() -> Mapping[str, np.ndarray]:
        problem = fresh.end()
        if problem:
            raise TrainingError(f"The export could not be loaded again and was removed: {problem[-300:]}")
        with np.load(answer) as loaded:
            return dict(loaded)

    return wait


def _compare(answer: Mapping[str, np.ndarray], expected: np.ndarray, names: Sequence[str], tolerance: float) -> None:
    labels = [label.decode() for label in answer["label"]]
    bad = sum(not label for label in labels)
    if bad or not labels:
        raise TrainingError(
            f"The export could not decode {bad} of {len(labels)} sample images and was removed: expected images that "
            "training could read, at least one."
        )
    difference = float(np.abs(answer["probabilities"] - expected).max())
    if not difference <= tolerance:  # also catches NaN
        raise TrainingError(
            f"The export answers otherwise than the model in memory and was removed: probabilities differ by "
            f"{difference:.2g}, at most {tolerance:g} was expected."
        )
    due = [names[best] for best in answer["probabilities"].argmax(axis=1)]
    if labels != due:
        raise TrainingError(f"The export names classes wrongly and was removed: it says {labels}, {due} was expected.")
