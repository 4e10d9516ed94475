"""evaluation.npz: what a run's first and last evaluation made of the images, for its page."""

import os
from collections.abc import Mapping

import numpy as np

from gsda_tf.data.npz import read_npz
from gsda_tf.errors import UserError
from gsda_tf.files import replacing

SNAPSHOT = "evaluation.npz"

# Kinds and dimensions, and the array that tells how many rows there are.
_ARRAYS = {
    "target_labels": ("iu", 1, "target_probabilities"),
    "target_probabilities": ("f", 2, "target_probabilities"),
    "target_agreement": ("f", 1, "target_probabilities"),
    "source_labels": ("iu", 1, "source_labels"),
    "source_counts": ("iu", 1, "source_counts"),
    "source_features_before": ("f", 2, "source_labels"),
    "source_features": ("f", 2, "source_labels"),
    "target_indices": ("iu", 1, "target_indices"),
    "target_features_before": ("f", 2, "target_indices"),
    "target_features": ("f", 2, "target_indices"),
    **{f"{kind}_indices": ("iu", 1, f"{kind}_indices") for kind in ("mistake", "sure", "unsure")},
    **{f"{kind}_images": ("u", 4, f"{kind}_indices") for kind in ("mistake", "sure", "unsure")},
    **{f"{kind}_names": ("U", 1, f"{kind}_indices") for kind in ("mistake", "sure", "unsure")},
}
_MOST_BYTES = 2**32
"""Of these arrays, unpacked."""


def write_snapshot(workdir: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name; `training.evaluator.Evaluator.keep` says which there are."""
    with replacing(os.path.join(workdir, SNAPSHOT)) as file:
        np.savez_compressed(file, **arrays)


def read_snapshot(workdir: str, classes: int) -> dict[str, np.ndarray]:
    """Reads what `write_snapshot` wrote; nothing if it has written nothing yet.

    Args:
      workdir: of the run.
      classes: r.

    Raises:
      UserError: it is damaged, or no file that could be read whole.
    """
    path = os.path.join(workdir, SNAPSHOT)
    if not os.path.lexists(path):
        return {}
    try:
        arrays = read_npz(path, tuple(_ARRAYS), _MOST_BYTES)
        _check(arrays, classes)
    except (UserError, ValueError, KeyError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}): remove it, and the report is made without it.") from error
    return arrays


def _check(arrays: Mapping[str, np.ndarray], classes: int) -> None:
    """Raises ValueError or KeyError if the arrays do not fit together."""
    for name, value in arrays.items():
        kinds, dimensions, rows = _ARRAYS[name]
        counts = (len(arrays[rows]), 0) if name.endswith("_images") else (len(arrays[rows]),)  # none of features
        if value.dtype.kind not in kinds or value.ndim != dimensions or len(value) not in counts:
            raise ValueError(f"its {name} are {value.dtype} {list(value.shape)}")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"its {name} are not finite")
        most = classes if name.endswith("labels") else len(arrays.get("target_labels", ()))
        known = name.endswith("labels") or ("target_labels" in arrays and name.endswith("_indices"))
        if known and ((value < -name.endswith("labels")) | (value >= most)).any():
            raise ValueError(f"its {name} are of no {'class' if name.endswith('labels') else 'image'}")
        if name.startswith("target_features"):
            width = arrays[name.replace("target", "source")].shape[1]
            if value.shape[1] != width:
                raise ValueError(f"its {name} are {value.shape[1]} numbers each, of the source {width}")
    for name, axis in {"target_probabilities": 1, "source_counts": 0}.items():
        if name in arrays and arrays[name].shape[axis] != classes:
            raise ValueError(f"its {name} are not of {classes} classes")
