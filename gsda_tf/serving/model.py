"""An exported model to ask."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gsda_tf.errors import COMMANDS, UserError, explained
from gsda_tf.files import content_digest, refuse_pattern
from gsda_tf.runs import exported

Answers = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Model:
    """An export that answers.

    Attributes:
      identity: tells it from every other; rows of two models do not go into one output.
      class_names: r names, in the order of the probabilities.
      ask: (JPEG or PNG files, whether features are wanted) -> answers by name: "label", N names, "" where the image
        could not be decoded; "score" float32 [N]; "probabilities" float32 [N, r]; "features" float32 [N, d], if they
        are wanted; "agreement" float32 [N], where candidates of `--method=auto` say it. Called from several threads.
      path: that it was loaded from.
      numbers: of each image, "score", and "agreement" where candidates of `--method=auto` say it.
      units: d.
    """

    identity: str
    class_names: tuple[str, ...]
    ask: Callable[[Sequence[bytes], bool], Answers]
    path: str = ""
    numbers: tuple[str, ...] = ("score",)
    units: int = 0


def local_model(path: str) -> Model:
    """Loads an export on this machine.

    Args:
      path: a version's folder, or the folder of versions (then the newest).

    Raises:
      UserError: no export there, or in a folder that TensorFlow takes for a pattern.
    """
    refuse_pattern(path, "model")
    found = exported.find(path)
    if not found:
        raise UserError(f"--model={path} holds no export: expected saved_model.pb, or version folders 1, 2, ...")
    path = found
    with explained(f"--model={path} could not be loaded", f"Was it exported by {COMMANDS}.export?"):
        loaded = tf.saved_model.load(path)
        if "features" not in loaded.signatures:
            raise UserError(f"--model={path} was trained on features of another model: it can be asked about no image.")
        signatures = loaded.signatures["serving_default"], loaded.signatures["features"]
        names = tuple(name.decode() for name in loaded.names.numpy())
        said = signatures[True].structured_outputs
        if [each.shape.rank for each in (said["label"], said["score"], said["features"])] != [1, 1, 2]:
            raise ValueError("its answers are of another shape")
        if said["probabilities"].shape.as_list() != [None, len(names)]:
            raise ValueError("its probabilities are not of its classes")
        numbers = tuple(name for name in ("score", "agreement") if name in said)
        weights = sorted(os.listdir(os.path.join(path, "variables")))
        digest = content_digest(path, ["saved_model.pb", *(os.path.join("variables", name) for name in weights)])

    def ask(records: Sequence[bytes], features: bool) -> Answers:
        said = signatures[features](image_bytes=tf.constant(records, tf.string))
        out = {name: value.numpy() for name, value in said.items()}
        labels = [label.decode() for label in out.pop("label").tolist()]
        if bad := [name for name, value in out.items() if not np.isfinite(value).all()]:
            raise UserError(f"--model={path} answers with {' and '.join(bad)} that are not finite: train it again.")
        return {**out, "label": labels}

    ask.loaded = loaded  # keeps the variables alive
    return Model(f"export with SHA-256 {digest}", names, ask, path, numbers, said["features"].shape[1])
