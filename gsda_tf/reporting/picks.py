"""Images of a run's target that are worth a label: a list to fill in, and a page that shows them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from gsda_tf import recipes
from gsda_tf.choosing.committee import OUTPUTS, finished
from gsda_tf.choosing.pick import pick
from gsda_tf.data.npz import read_npz
from gsda_tf.datasets.loading import load
from gsda_tf.errors import UserError
from gsda_tf.files import write_atomically
from gsda_tf.reporting.page import percent, render, thumbnail
from gsda_tf.reporting.runs import LoggedRun, beside, load_run
from gsda_tf.tables import Table
from gsda_tf.training.evaluator import thumbnails

LIST, PAGE = "labels.csv", "labels.html"


def write_picks(workdir: str, count: int, **given: Any) -> tuple[str, str | None]:
    """Picks images and writes `LIST` and `PAGE` into the run's folder.

    Args:
      workdir: of a finished run: of `--method=auto`, whose candidates may disagree; or of one method, with source only
        beside it if that is there.
      count: images to label.
      **given: where the data lie now, by setting name.

    Returns:
      (path of the list, path of the page or None if there is nothing to be seen).

    Raises:
      UserError: the run is not finished, its data have changed, or there is a list already.
    """
    run, path = load_run(workdir), os.path.join(workdir, LIST)
    if run.summary is None:
        raise UserError(f"{workdir} holds no finished run: train it to its end first.")
    if os.path.exists(path):
        raise UserError(f"{path} is there already, perhaps with labels: move it away for a new one.")
    settings, _ = recipes.restored(run.settings, given)
    data = load(settings.data, run.class_names)
    said = _said(run)
    if said.shape[1:] != (len(data.target), len(run.class_names)):
        raise UserError(
            f"{workdir} was trained on {said.shape[1]:,} target images, {len(data.target):,} are there now."
        )
    labelled = data.target.labels >= 0 if data.target.handed else np.zeros(len(data.target), bool)
    if data.target.taught is not None:
        labelled |= data.target.taught >= 0
    scored, trained = pick(said, ~labelled, count)
    uses = {**dict.fromkeys(scored.tolist(), "score"), **dict.fromkeys(trained.tolist(), "train")}
    chosen = np.sort(np.asarray(list(uses), np.int64))
    names = [data.target.records.name(int(i)) for i in chosen]
    rows = [(name, "", uses[i]) for name, i in zip(names, chosen.tolist())]
    write_atomically(path, Table(("image", "label", "use"), rows).csv())
    if not data.target.records.visible or not len(chosen):
        return path, None
    mean, items = said.mean(axis=0), []
    for image, index, name in zip(thumbnails(data.target, chosen, settings.data), chosen.tolist(), names):
        sure = f"{percent(mean[index].max())} agreement, to {uses[index]}"
        items.append(thumbnail(image, name, run.class_names[mean[index].argmax()], sure))
    page = os.path.join(workdir, PAGE)
    title = f"{run.task}: {len(items)} images to label"
    write_atomically(page, render("picks.html", title=title, items=items, path=path, classes=run.class_names))
    return path, page


def _said(run: LoggedRun) -> np.ndarray:
    """What runs say of the target's images, float [m, n, r]: an auto run's candidates, or the run and source only."""
    folders = [folder for seeds in finished(run.workdir).values() for folder in seeds]
    found = [read_npz(os.path.join(folder, OUTPUTS), ("probabilities",))["probabilities"] for folder in folders]
    if not found:
        other = beside(run)
        found = [each.probabilities for each in (run, other) if each is not None and each.probabilities is not None]
    if not found or len({each.shape for each in found}) > 1:
        raise UserError(f"{run.workdir} does not hold what its runs say of the same images: train it again.")
    return np.stack(found)
