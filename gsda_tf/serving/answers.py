"""Checks a model's answers: a server may serve another model, or answer anything at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Answers:
    """The answers of a model to a batch.

    Attributes:
      labels: class names; empty where the image could not be decoded.
      scores: float32 [N].
      probabilities: float32 [N, r].
      features: float32 [N, d], if they were asked for.
    """

    labels: list[str]
    scores: np.ndarray
    probabilities: np.ndarray
    features: np.ndarray | None = None


def checked(out: Mapping[str, np.ndarray], count: int, class_names: Sequence[str], features: bool) -> Answers:
    """Returns answers from a signature's outputs by name.

    Args:
      out: of the signature.
      count: N, images that were asked about.
      class_names: r names.
      features: whether they were asked for.

    Raises:
      ValueError: what is wrong with them, in words.
    """
    shapes = {"label": (count,), "score": (count,), "probabilities": (count, len(class_names))}
    if features:
        shapes["features"] = (count, None)
    found = {name: _output(out, name, shape) for name, shape in shapes.items()}
    labels = texts(found["label"])
    unknown = set(labels) - {*class_names, ""}
    if unknown:
        raise ValueError(f"the label {min(unknown)!r}, which is no class")
    numbers = {name: _numbers(name, value) for name, value in found.items() if name != "label"}
    for name in ("score", "probabilities"):
        if ((numbers[name] < 0) | (numbers[name] > 1 + 1e-3)).any():
            raise ValueError(f"values of {name} that are no probabilities")
    return Answers(labels, numbers["score"], numbers["probabilities"], numbers.get("features"))


def texts(values: np.ndarray) -> list[str]:
    """Returns the UTF-8 strings of an output.

    Raises:
      ValueError: other values.
    """
    if values.dtype.kind not in "OS":
        raise ValueError(f"{values.dtype} where names were expected")
    try:
        return [value.decode() for value in values.tolist()]
    except (UnicodeDecodeError, AttributeError) as error:
        raise ValueError("names that are no UTF-8") from error


def _output(out: Mapping[str, np.ndarray], name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    if name not in out:
        raise ValueError(f"no {name}")
    value = out[name]
    fits = len(value.shape) == len(shape) and all(wanted in (None, size) for wanted, size in zip(shape, value.shape))
    if not fits:
        raise ValueError(f"{name} of shape {list(value.shape)}, expected {[size or 'd' for size in shape]}")
    return value


def _numbers(name: str, value: np.ndarray) -> np.ndarray:
    if value.dtype.kind != "f":
        raise ValueError(f"{name} of type {value.dtype}, expected float32")
    if not np.isfinite(value).all():
        raise ValueError(f"values of {name} that are not finite")
    return value.astype(np.float32)
