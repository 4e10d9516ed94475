"""Arrays of any kind as images or features: from a file, or handed in from Python."""

from __future__ import annotations

import numpy as np

from gsda_tf.errors import DataError

EXPECTED = (
    "expected images [n, height, width, 3] or [n, height, width], uint8 0..255, or float 0..1 or 0..255; features of a "
    "model, numbers [n, e]"
)
_BEYOND = 0.05
"""Resizing leaves values that are out of range by such a share of it."""


def features_of(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Takes features.

    Args:
      array: numbers [n, e].

    Returns:
      (float32 [n, e]; bool [n], which rows have finite numbers only).

    Raises:
      DataError: they are no features.
    """
    if array.ndim != 2 or array.dtype.kind not in "biuf" or not array.size:
        raise DataError(f"{array.dtype} {list(array.shape)} was given where features are, numbers [n, e]: {EXPECTED}.")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float32)
    return array, np.isfinite(array).all(axis=1)


def images_of(values: np.ndarray | list[np.ndarray]) -> tuple[np.ndarray | list[np.ndarray], np.ndarray]:
    """Takes images.

    Args:
      values: numbers [n, h, w, 3], grey [n, h, w] or [n, h, w, 1], or with the channels first; one image; or a list of
        single ones, of several sizes.

    Returns:
      (uint8 [n, h, w, 3], or a list of [h, w, 3]; bool [n], which rows have finite numbers only).

    Raises:
      DataError: they are no images.
    """
    blocks = [_batch(each, True) for each in values] if isinstance(values, list) else [_batch(values, False)]
    finite = np.concatenate([_finite(block) for block in blocks])
    if not finite.all():
        blocks = [np.nan_to_num(block, nan=0, posinf=0, neginf=0) for block in blocks]
    factor, made = _factor(blocks), []
    for block in blocks:
        if block.dtype != np.uint8:
            block = np.clip(np.rint(block.astype(np.float32) * factor), 0, 255).astype(np.uint8)
        made.append(np.repeat(block, 3, axis=-1) if block.shape[-1] == 1 else block)
    return ([block[0] for block in made] if isinstance(values, list) else made[0]), finite


def _finite(block: np.ndarray) -> np.ndarray:
    """Returns which images of [m, h, w, c] have finite numbers only, bool [m]."""
    if block.dtype.kind == "f":
        return np.isfinite(block).all(axis=(1, 2, 3))
    return np.ones(len(block), bool)  # without a copy of all pixels


def _batch(array: np.ndarray, one: bool) -> np.ndarray:
    """[m, h, w, 1 or 3] of one image, or of several."""
    shown = f"{array.dtype} {list(array.shape)}"
    if not one and array.ndim == 3 and len(array) == 3 and array.shape[-1] not in (1, 3):
        raise DataError(f"{shown} may be one image or three grey ones: add an axis, images[None] or images[..., None].")
    if one or (array.ndim == 3 and array.shape[-1] in (1, 3, 4)) or (array.ndim == 2 and array.dtype.kind in "iu"):
        array = array[None]
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[-1] not in (1, 3):
        array = np.moveaxis(array, 1, -1)
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or array.dtype.kind not in "biuf" or not array.size:
        hint = ", of four channels images[..., :3]" if array.ndim > 2 and array.shape[-1] == 4 else ""
        raise DataError(f"{shown} was given where images are{hint}: {EXPECTED}.")
    return array


def _factor(blocks: list[np.ndarray]) -> float:
    """Returns what makes the values of images 0..255."""
    low, high = min(float(block.min()) for block in blocks), max(float(block.max()) for block in blocks)
    whole = all(block.dtype.kind in "iu" for block in blocks)
    factor, beyond = (1.0, 0.0) if whole else (255.0 if high <= 1 + _BEYOND else 1.0, 255 * _BEYOND)
    if low * factor < -beyond or high * factor > 255 + beyond:
        raise DataError(
            f"Images of values {low:.6g} to {high:.6g} were given: {EXPECTED}. Values of -1..1 are (x + 1) * 127.5."
        )
    return factor
