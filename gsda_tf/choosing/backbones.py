"""Compares frozen backbones without labels of the target: `launch.inspect --extractor=a,b --freeze_backbone`.

A backbone that tells the source's classes apart tells the target's apart, too: on each domain of Office-31 the order of
three backbones was that of SPL's mean accuracy on the targets (docs/choosing.md).
"""

import dataclasses
import itertools

import numpy as np

from gsda_tf.data.domain import TaskData, evenly
from gsda_tf.errors import UserError
from gsda_tf.evaluation.accuracy import difference
from gsda_tf.methods.spl import unit
from gsda_tf.settings import Settings, several
from gsda_tf.tables import Table
from gsda_tf.training.distribution import build_strategy
from gsda_tf.training.experiment import Experiment

JOINED = "all, joined"
_MOST = 3000
"""Source images that are looked at, evenly spread."""


def nearest_without_itself(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns for each image whether its own class has the nearest mean; the image itself is left out of that mean.

    Args:
      features: float [n, e]; their root is compared, by cosine.
      labels: int [n].

    Returns:
      bool [m], of the images whose class has another.

    Raises:
      UserError: there is no such image.
    """
    if (np.bincount(labels) < 2).all():
        raise UserError("No class of the source has two images, by which backbones could be compared.")
    rows = unit(np.sign(features) * np.sqrt(np.abs(features, dtype=np.float64)))
    members = np.equal.outer(labels, np.unique(labels)).astype(np.float64)
    sums = members.T @ rows
    alike = rows @ unit(sums).T
    own = (rows * unit(members @ sums - rows)).sum(axis=1)
    others = np.where(members > 0, -np.inf, alike).max(axis=1)
    return (own > others)[members @ members.sum(axis=0) > 1]


def compare(settings: Settings, data: TaskData) -> str:
    """Compares the backbones of `--extractor=a,b`, each by itself and all of them joined, on the source.

    Args:
      settings: resolved; the backbones are frozen.
      data: of the task.

    Returns:
      A table, the best on top, and which to take.
    """
    some = data.source.chosen(evenly(len(data.source), _MOST))
    looked_at = dataclasses.replace(data, source=some, target=some)  # of the target no feature is needed
    experiment = Experiment(settings, looked_at, build_strategy(settings.device), trains=False)
    source = experiment.embeddings()[0]
    edges = list(itertools.accumulate((part.embedding_units for part in experiment.extractor.parts), initial=0))
    lots = {name: source[:, a:b] for name, a, b in zip(several(settings.model.extractor), edges, edges[1:])}
    right = {name: nearest_without_itself(x, some.labels) for name, x in {**lots, JOINED: source}.items()}
    names = sorted(right, key=lambda name: -right[name].mean())
    level = [name for name in names[1:] if difference(right[names[0]], right[name])[1] <= 0]
    rows = [(name, f"{100 * right[name].mean():.1f} %") for name in names]
    also = f", level with it: {', '.join(level)}" if level else ""
    return (
        f"{Table(('backbone', 'source images nearest to their own class'), rows).markdown()}\n\n"
        f"Best on the source, without a label of the target: {names[0]}{also}. Which of those that are level is "
        "better on the target this cannot tell: compare what --method=auto estimates with each."
    )
