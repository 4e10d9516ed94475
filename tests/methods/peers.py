"""Losses of ours beside numbers that functions of other projects gave (peers.md), in float64.

Used inside of the fixture `in_double`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tests.rounding import double


def _read() -> dict[str, np.ndarray]:
    """The numbers by name: see peers.md."""
    with np.load(os.path.join(os.path.dirname(__file__), "peers.npz")) as file:
        shapes = [tuple(int(n) for n in text.split(",") if n) for text in file["shapes"]]
        parts = np.split(file["values"], np.cumsum([np.prod(shape, dtype=int) for shape in shapes])[:-1])
        return {str(name): part.reshape(shape) for name, part, shape in zip(file["names"], parts, shapes)}


NUMBERS = _read()

LABELS = NUMBERS["inputs/y_s"].astype(np.int32)
"""Of the source."""

R, D, N = 5, 16, 8
"""Classes, features, samples of each domain."""

WITHIN = 1e-9
"""As a share of an array's largest number. Both sides are float64; the sums have at most some thousand terms."""


def given(*names: str) -> list[tf.Tensor]:
    """Inputs of the comparison by name."""
    return [tf.constant(NUMBERS[f"inputs/{name}"]) for name in names]


def both(name: str) -> tf.Tensor:
    """An input of the source, then of the target: "f" [16, 16], "z" [16, 5]."""
    return tf.concat(given(f"{name}_s", f"{name}_t"), axis=0)


def agree(ours, theirs, within: float = WITHIN) -> None:
    """Zeros are to be zeros."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=within * np.abs(theirs).max())


def gradients(loss: Callable[..., tf.Tensor], *inputs) -> tuple[tf.Tensor, list[np.ndarray]]:
    """(loss(*inputs), its gradients: 0 where it has none)."""
    inputs = [tf.convert_to_tensor(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = loss(*inputs)
    found = tape.gradient(value, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return value, [np.asarray(tf.convert_to_tensor(g)) for g in found]


def compare(key: str, loss: Callable[..., tf.Tensor], value: float = 1.0, constant: float = 0.0, **factors: float):
    """Value and gradients of a loss against a peer's.

    Args:
      key: of the peer's loss.
      loss: its parameters are named as the inputs it takes.
      value: ours is this times theirs, plus `constant`.
      constant: has no gradient.
      **factors: our gradient is this times theirs, by the input's name or its first letters ("f", "z"); by default
        `value`.
    """
    names = list(inspect.signature(loss).parameters)
    result, found = gradients(loss, *given(*names))
    agree(result, value * NUMBERS[f"{key}/loss"] + constant)
    for name, gradient in zip(names, found):
        factor = factors.get(name, factors.get(name.split("_")[0], value))
        agree(gradient, factor * NUMBERS[f"{key}/grad_{name}"])


def differentiate(loss: Callable[[tf.Tensor], tf.Tensor], x, seed: int = 0) -> None:
    """The gradient of a loss of float64 `x` against central differences, in three random directions."""
    x, rng, h = np.asarray(x, np.float64), np.random.default_rng(seed), 1e-5
    _, (gradient,) = gradients(loss, tf.constant(x))
    for _ in range(3):
        direction = rng.normal(size=x.shape)
        slope = (loss(tf.constant(x + h * direction)) - loss(tf.constant(x - h * direction))) / (2 * h)
        scale = max(1.0, float(np.abs(gradient).max()))
        np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=0, atol=1e-6 * scale)


def method(module: str, name: str, units=(12,), classes: int = R, features: int = D, extractor=None, **options):
    """A method in float64, for hand-made batches."""
    kind = getattr(double(f"methods.{module}"), name)
    problem = double("methods.base").Problem(
        class_names=tuple("abcdefgh"[:classes]), feature_units=features, embedding_units=features, num_source=N,
        num_target=N, discriminator_units=units, seed=0, backbone_moves=True,
        extractor=extractor() if extractor else None, copy_extractor=extractor or (lambda: None),
    )  # fmt: skip
    return kind(problem, kind.Options(**options))


def batch(f_s=None, f_t=None, z_s=None, z_t=None, labels=None, progress=1.0):
    """A `Batch` in float64; what is not given is the comparison's input."""
    f_s, f_t, z_s, z_t = (
        x if x is not None else given(name)[0] for x, name in ((f_s, "f_s"), (f_t, "f_t"), (z_s, "z_s"), (z_t, "z_t"))
    )
    labels = LABELS if labels is None else labels
    features, logits = tf.concat([f_s, f_t], axis=0), tf.concat([z_s, z_t], axis=0)
    labels, progress = tf.constant(labels, tf.int32), tf.constant(progress, tf.float64)
    held = tf.range(f_t.shape[0], dtype=tf.int64)  # the whole target
    return double("methods.batch").Batch(
        features, labels, lambda _: logits, progress, tf.constant([0, 0]), target_indices=held
    )


def set_critic(bank, *names: str) -> None:
    """Gives a bank of discriminators of one hidden layer the weights of the comparison: kernel, bias, kernel, bias."""
    first, bias, last, end = (NUMBERS[f"inputs/{name}"] for name in names)
    for variables, values in ((bank.kernels, (first, last)), (bank.biases, (bias, end))):
        for variable, value in zip(variables, values):
            variable.assign(np.reshape(value, variable.shape))


def softmax(logits) -> np.ndarray:
    """Over the last axis, by NumPy."""
    e = np.exp(np.asarray(logits) - np.max(logits, axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def rotation(size: int, seed: int = 0) -> np.ndarray:
    """A random orthonormal matrix."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
