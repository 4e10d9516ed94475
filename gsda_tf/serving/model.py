"""An exported model to ask, be it here or behind a server."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence

import tensorflow as tf

from gsda_tf.errors import COMMANDS, UserError
from gsda_tf.files import content_digest
from gsda_tf.serving.answers import Answers, checked
from gsda_tf.serving.versions import versions


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that answers.

    Attributes:
      identity: tells it from every other; rows of two models do not go into one output.
      class_names: r names, in the order of the probabilities.
      ask: (JPEG or PNG files, whether features are wanted) -> answers. Called from several threads.
      probe: what it says of a fixed image, where `identity` does not follow from the weights.
    """

    identity: str
    class_names: tuple[str, ...]
    ask: Callable[[Sequence[bytes], bool], Answers]
    probe: tuple[float, ...] = ()


def local_model(path: str) -> Model:
    """Loads an export on this machine.

    Args:
      path: a version's folder, or the folder of versions (then the newest).

    Raises:
      UserError: no export there.
    """
    if not os.path.exists(os.path.join(path, "saved_model.pb")):
        found = versions(path)
        if not found:
            raise UserError(f"--model={path} holds no export: expected saved_model.pb, or version folders 1, 2, ...")
        path = os.path.join(path, str(found[-1]))
    try:
        loaded = tf.saved_model.load(path)
        if "features" not in loaded.signatures:
            raise UserError(f"--model={path} was trained on features of another model: it can be asked about no image.")
        signatures = {wanted: loaded.signatures[signature(wanted)] for wanted in (False, True)}
        names = tuple(name.decode() for name in loaded.names.numpy())
        identity = _content(path)
    except (OSError, ValueError, KeyError, AttributeError, tf.errors.OpError) as error:
        raise UserError(
            f"--model={path} could not be loaded, was it exported by {COMMANDS}.export? "
            f"{str(error).splitlines()[0][:200]}"
        ) from error

    def ask(records: Sequence[bytes], features: bool) -> Answers:
        out = signatures[features](image_bytes=tf.constant(records, tf.string))
        try:
            return checked({name: value.numpy() for name, value in out.items()}, len(records), names, features)
        except ValueError as error:
            raise UserError(f"--model={path} answers with {error}: was it exported by {COMMANDS}.export?") from error

    ask.loaded = loaded  # keeps the variables alive
    return Model(identity, names, ask)


def signature(features: bool) -> str:
    """Returns the name of the signature to ask."""
    return "features" if features else "serving_default"


def _content(path: str) -> str:
    """Returns a number for the graph and the weights, wherever they lie."""
    weights = sorted(os.listdir(os.path.join(path, "variables")))
    digest = content_digest(path, ["saved_model.pb", *(os.path.join("variables", name) for name in weights)])
    return f"export with SHA-256 {digest}"
