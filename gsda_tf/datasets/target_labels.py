"""Labels of some target images that are handed over for training: a target labelled in part, or `--target_labels`."""

import dataclasses
import os

import numpy as np

from gsda_tf.data.classes import labels_of
from gsda_tf.data.domain import UNLABELLED, TaskData
from gsda_tf.datasets.own.lists import Line, check_labels, read_list
from gsda_tf.errors import DataError, shown
from gsda_tf.files import cell
from gsda_tf.settings import DataSettings

SCORE, TRAIN = "score", "train"
"""What the column `use` of a list says: the first of images that are not to be trained on."""


def hand_over(data: TaskData, settings: DataSettings) -> TaskData:
    """Divides the target's labels into those that are trained on and those that score.

    Where every target image is labelled, labels only score, but for those of the images in `--target_labels`. Where
    some are, these labels were handed over, and a share of them is held out to score.

    Args:
      data: of a task.
      settings: `target_labels`, `target_holdout`.

    Returns:
      The task whose target has `taught` labels, if any are trained on.

    Raises:
      DataError: the list is not as expected, or all labels are of one class.
    """
    labels = data.target.labels
    given, rest, held = labels, np.full_like(labels, UNLABELLED), np.zeros(len(labels), bool)
    if settings.target_labels:
        given, held = _read(settings.target_labels, data)
        rest = np.where(given >= 0, UNLABELLED, labels)
    elif (labels >= 0).all() or not data.target.labelled:
        return data
    alone = not (rest >= 0).any()
    if alone and not held.any():
        held = _held_out(given, settings.target_holdout)
    taught = np.where(held, UNLABELLED, given).astype(np.int32)
    classes = np.unique(taught[taught >= 0])
    if len(classes) == 1 and (taught >= 0).sum() > 1:
        raise DataError(
            f"All {(taught >= 0).sum()} target labels to be trained on are {data.class_names[classes[0]]!r}: expected "
            "some of several classes; with one alone nothing is told apart."
        )
    scoring = np.where(held, given, rest).astype(np.int32)
    remark = f"Target labels: {(taught >= 0).sum():,} are trained on, {(scoring >= 0).sum():,} only score."
    target = dataclasses.replace(
        data.target, labels=scoring, taught=taught if len(classes) else None, handed=alone and bool(held.any())
    )
    return dataclasses.replace(data, target=target, remarks=(*data.remarks, remark))


def _held_out(given: np.ndarray, share: float) -> np.ndarray:
    """The labelled images that only score, bool [n]: evenly spread over them in the order of their classes."""
    labelled = np.flatnonzero(given >= 0)
    order = labelled[np.argsort(given[labelled], kind="stable")]
    counted = np.floor(np.arange(len(order) + 1) * share + 1e-9)
    held = np.zeros(len(given), bool)
    held[order[np.diff(counted) > 0]] = True
    return held


def _read(path: str, data: TaskData) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the images in a list, int32 [n], -1 elsewhere; and which of them only score, bool [n]."""
    images = read_list(path)
    check_labels(images)
    if not images.known:
        raise DataError(f"--target_labels={shown(path)} has no label yet: fill in one behind each path.")
    names = [data.target.records.name(i) for i in range(len(data.target))]
    by_end: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        by_end.setdefault(cell(os.path.basename(name)), []).append(i)
    labels = labels_of([line.label for line in images.known], data.class_names, lambda i: images.at(images.known[i]))
    given, held = np.full(len(names), UNLABELLED, np.int32), np.zeros(len(names), bool)
    for line, label in zip(images.known, labels):
        found, wrong = _places(path, line, names, by_end), ""
        if len(found) != 1:
            wrong = f"is {len(found)} images of the target ({shown(names[0])}, ...): expected one of them"
        elif line.use not in (None, "", SCORE, TRAIN):
            wrong = f"has the use {shown(line.use)}: expected {SCORE}, {TRAIN} or none"
        elif not {given[found[0]], data.target.labels[found[0]]} <= {UNLABELLED, label}:
            wrong = "is labelled otherwise too, in that list or in the target: expected one label an image"
        if wrong:
            raise DataError(f"{images.at(line)} {wrong}.")
        given[found[0]], held[found[0]] = label, line.use == SCORE
    return given, held


def _places(path: str, line: Line, names: list[str], by_end: dict[str, list[int]]) -> list[int]:
    """The images that a line may mean: of that very name, also from the list's folder; or whose name ends so."""
    written = line.path
    alike = by_end.get(cell(os.path.basename(written)), by_end.get(os.path.basename(written), []))
    whole = (written, os.path.normpath(os.path.join(os.path.dirname(path), written)))
    exact = [i for i in alike if names[i] in whole or cell(names[i]) == written]
    return exact or [i for i in alike if names[i].endswith(f"/{written}")]
