"""Keeps in an export what its run saw of the target images, with which `launch.monitor` compares new ones."""

import json
import os

import numpy as np

from gsda_tf.data.domain import evenly
from gsda_tf.errors import COMMANDS, UserError, explained
from gsda_tf.evaluation.moved import MOST, Moved, compare
from gsda_tf.files import read_regular
from gsda_tf.progress import progress
from gsda_tf.serving.model import local_model
from gsda_tf.serving.predict import answered, find_images

SEEN = "seen"
_NAMES, _DECIMALS, _MOST_BYTES, _BATCH = ("features", "probabilities"), 4, 2**28, 64


def kept(experiment) -> dict[str, list]:
    """Computes what is kept: "features" [m, d] and "probabilities" [m, r] of some images of the target."""
    target = experiment.inputs.target
    outputs = experiment.inference(target.chosen(evenly(len(target), MOST)))
    return {name: np.round(getattr(outputs, name).astype(float), _DECIMALS).tolist() for name in _NAMES}


def look(path: str, images: str) -> tuple[Moved, tuple[str, ...], str]:
    """Compares images with those that the run of an export saw.

    Args:
      path: of the export, see `local_model`.
      images: see `find_images`; of many, some are asked about.

    Returns:
      (what was found, r class names, how many images that was, in words).

    Raises:
      UserError: no image can be read; the export does not hold what its run saw, or what it holds is damaged.
    """
    model, paths = local_model(path), find_images(images)
    place = os.path.join(model.path, "assets", f"{SEEN}.json")
    asked = [paths[i] for i in evenly(len(paths), MOST)]
    new: list[list[np.ndarray]] = [[], []]
    with progress(total=len(asked), unit="image", desc="asking") as bar:
        for answers, errors in answered(model, asked, _BATCH, True):
            for name, values in zip(_NAMES, new):
                values.extend(answers[name][[not error for error in errors]])
            bar.update(len(errors))
    count = len(new[0])
    if not count:
        raise UserError(f"None of {len(asked):,} images of --images={images} can be read.")
    new = [np.asarray(values, np.float64) for values in new]
    todo = f"Exports of older versions, or made without the data, do not; {COMMANDS}.export makes one that does."
    with explained(f"--model={path} does not hold what its run saw, {place}", todo):
        told = json.loads(read_regular(place, _MOST_BYTES))
        then = [np.asarray(told[name], np.float64) for name in _NAMES]
        if [each.shape for each in then] != [(len(then[0]), each.shape[1]) for each in new]:
            raise ValueError("its rows are not those of this model")
        if not all(np.isfinite(each).all() for each in then):
            raise ValueError("it has numbers that are not finite")
    bad = f", {len(asked) - count:,} more cannot be read" if count < len(asked) else ""
    return compare(then, new), model.class_names, f"{count:,} of {len(paths):,}{bad}; then {len(then[0]):,}"
