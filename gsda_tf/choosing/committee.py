"""The candidates of `--method=auto` over the frozen backbone that they share, as a part of what is exported."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from gsda_tf import methods
from gsda_tf.errors import UserError
from gsda_tf.training.experiment import Experiment, restore

CANDIDATES, OUTPUTS = "candidates", "outputs.npz"


class Committee:
    """Candidates that answer beside the one that was taken.

    Args:
      members: by candidate the (E, C) of its seeds, which take what the backbone makes of an image.

    Attributes:
      models: all of them.
    """

    def __init__(self, members: Mapping[str, Sequence[tuple[keras.Model, keras.Model]]]):
        self._members = [*members.values()]
        self.models = [model for seeds in self._members for pair in seeds for model in pair]

    def __call__(self, embedded: tf.Tensor, answers: tf.Tensor) -> tf.Tensor:
        """Computes `agreement.agreement` in a graph: the mean probability of an answer over the candidates, each of
        which has one voice.

        Args:
          embedded: float32 [N, e], what the backbone makes of images.
          answers: int [N].

        Returns:
          float32 [N], 0..1.
        """
        voices = []
        for seeds in self._members:
            said = [tf.nn.softmax(classifier(extractor(embedded, training=False))) for extractor, classifier in seeds]
            voices.append(tf.add_n(said) / len(said))
        return tf.gather(tf.add_n(voices) / len(voices), answers, batch_dims=1)


def finished(workdir: str) -> dict[str, list[str]]:
    """Folders of an auto run's finished candidates by name, in the order of their seeds; {} of another run."""
    root, found = os.path.join(workdir, CANDIDATES), {}
    for path in sorted(glob.glob(os.path.join(glob.escape(root), "**", "seed*", OUTPUTS), recursive=True)):
        folder = os.path.dirname(path)
        found.setdefault(os.path.relpath(os.path.dirname(folder), root), []).append(folder)
    return found


def committee(workdir: str, experiment: Experiment, trusted: bool = False) -> Committee | None:
    """Returns the candidates of an auto run, with the weights of their last step.

    Args:
      workdir: of the run.
      experiment: of the one that was taken, whose backbone they share.
      trusted: whether methods may be run that the folder names as programs.

    Returns:
      None where there are none, or where each has a backbone of its own. What keeps them away is said.
    """
    folders = finished(workdir) if experiment.settings.model.freeze_backbone else {}
    members = {}
    try:
        for name, seeds in folders.items():
            given = {"method": methods.split(name)[0]} if trusted else {}
            members[name] = [restore(folder, beside=experiment, **given)[0].deployed for folder in seeds]
    except UserError as error:
        print(f"The export says nothing of agreement, as a candidate is not to be had: {error}")
        return None
    return Committee(members) if members else None
