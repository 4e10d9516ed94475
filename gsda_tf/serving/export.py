"""Writes a SavedModel that TensorFlow Serving serves, and makes sure that it answers as the model in memory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gsda_tf.data.domain import Domain
from gsda_tf.data.images import ImageGeometry
from gsda_tf.errors import TrainingError
from gsda_tf.files import disk_errors
from gsda_tf.serving.module import ServingModule
from gsda_tf.serving.warmup import write_warmup

TOLERANCE = 1e-5
"""Largest difference of a probability between the export and the model in memory."""

# Runs in a process with TensorFlow alone: the export must not need this package.
_ASK = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
records = np.load(sys.argv[2])
answer = model.signatures["serving_default"](image_bytes=tf.constant([r.tobytes() for r in records.values()]))
np.savez(sys.argv[3], probabilities=answer["probabilities"].numpy(), label=answer["label"].numpy().astype(bytes))
"""


def sample_images(domain: Domain, count: int = 8) -> list[bytes]:
    """Some real images of a domain as files are: encoded. Pixels are encoded as PNG, which loses nothing."""
    chosen = np.linspace(0, len(domain) - 1, min(count, len(domain))).astype(np.int64)
    loaded = [domain.records.load(tf.constant(i)) for i in chosen]
    return [(x if domain.records.encoded else tf.io.encode_png(x)).numpy() for x in loaded]


def export_model(
    extractor: keras.Model,
    classifier: keras.Model,
    class_names: Sequence[str],
    geometry: ImageGeometry,
    export_root: str,
    assets: Mapping[str, Any],
    samples: Sequence[bytes],
) -> str:
    """Writes `export_root/<version>/`, one more than the highest version there.

    It is written aside, loaded in a fresh process, asked about `samples`, and only then moved into place.

    Args:
      extractor: E, images [N, S, S, 3] -> f [N, d].
      classifier: C, f -> logits [N, r].
      class_names: r names.
      geometry: of the network's input.
      export_root: folder of the versions.
      assets: JSON files to carry along, contents by file name without its ending.
      samples: encoded real images, for the check and the warm-up requests.

    Returns:
      The folder of the new version.

    Raises:
      TrainingError: the loaded export answers otherwise than the model in memory.
      UserError: the disk is full, or the folder cannot be written.
    """
    with disk_errors(f"writing an export to {export_root}"):
        os.makedirs(export_root, exist_ok=True)
        # Absolute, because the process that checks the export runs in another folder.
        aside = tempfile.mkdtemp(dir=os.path.abspath(export_root), prefix=".writing-")
        try:
            model_dir = os.path.join(aside, "model")
            module = _save(extractor, classifier, class_names, geometry, aside, model_dir, assets)
            write_warmup(model_dir, samples)
            _check(module, model_dir, samples, aside)
            final = os.path.join(export_root, str(_next_version(export_root)))
            os.replace(model_dir, final)
            return final
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def export_experiment(experiment, export_root: str, summary: Mapping[str, Any]) -> str:
    """Exports E and C of an `Experiment`; see `export_model`."""
    data = experiment.settings.data
    return export_model(
        experiment.networks.extractor,
        experiment.networks.classifier,
        experiment.data.class_names,
        ImageGeometry(data.image_size, data.resize_size),
        export_root,
        {"class_names": list(experiment.data.class_names), "groups": experiment.groups, "summary": dict(summary)},
        sample_images(experiment.data.target),
    )


def versions(export_root: str) -> list[int]:
    """Versions that are there, ascending."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(int(name) for name in os.listdir(export_root) if name.isdigit())
    return []


def _next_version(export_root: str) -> int:
    return max(versions(export_root), default=0) + 1


def _save(extractor, classifier, class_names, geometry, aside, model_dir, assets) -> ServingModule:
    paths = []
    for name, content in assets.items():
        paths.append(os.path.join(aside, f"{name}.json"))
        with open(paths[-1], "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
    module = ServingModule(extractor, classifier, class_names, geometry, paths)
    tf.saved_model.save(module, model_dir, signatures=module.signatures())
    return module


def _check(module: ServingModule, model_dir: str, samples: Sequence[bytes], aside: str) -> None:
    """Compares the export, loaded by a fresh process, with the model in memory."""
    question, answer = os.path.join(aside, "samples.npz"), os.path.join(aside, "answer.npz")
    np.savez(question, *(np.frombuffer(sample, np.uint8) for sample in samples))
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    environment.pop("TF_CONFIG", None)
    done = subprocess.run(
        [sys.executable, "-c", _ASK, model_dir, question, answer],
        cwd=aside,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise TrainingError(f"The export could not be loaded again and was removed: {done.stderr.strip()[-300:]}")
    expected = module.signatures()["serving_default"](image_bytes=tf.constant(list(samples)))["probabilities"].numpy()
    with np.load(answer) as loaded:
        difference = float(np.abs(loaded["probabilities"] - expected).max())
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"The export answers otherwise than the model in memory and was removed: probabilities differ by "
            f"{difference:.2g}, at most {TOLERANCE:g} was expected."
        )
