"""A run as its page shows it, read from its folder: finished or still going."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from gsda_tf.errors import UserError
from gsda_tf.evaluation.selection import SCORES
from gsda_tf.runs.contents import read_metrics, read_settings, read_snapshot, read_summary
from gsda_tf.settings import names


@dataclasses.dataclass(frozen=True)
class LoggedRun:
    """One run.

    Attributes:
      workdir: its folder.
      task: such as "office31/A_W".
      settings: all settings, by name.
      class_names: r names.
      groups: class names of each group; () if the method has none.
      lines: of metrics.jsonl.
      summary: summary.json; None while the run is going.
      evaluation: arrays of evaluation.npz; while the run is going, only those from before training, if any.
    """

    workdir: str
    task: str
    settings: Mapping[str, Any]
    class_names: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    lines: tuple[Mapping[str, Any], ...]
    summary: Mapping[str, Any] | None
    evaluation: Mapping[str, np.ndarray]

    @property
    def step(self) -> int:
        """The last step that was logged."""
        return int(self.lines[-1]["step"]) if self.lines else 0

    @property
    def score_key(self) -> str:
        """The accuracy that is reported: "accuracy/target" or "accuracy/target_mean_class"."""
        return SCORES[(self.summary or {}).get("score", "accuracy")]

    @property
    def probabilities(self) -> np.ndarray | None:
        """Of every target image, float [n, r]; None while the run is going."""
        return self.evaluation.get("target_probabilities")

    @property
    def target_labels(self) -> np.ndarray | None:
        """Of every target image, int [n], -1 where unknown; None while the run is going."""
        return self.evaluation.get("target_labels")

    @property
    def labelled(self) -> bool:
        """True if target labels are known, so that the result can be scored."""
        return self.target_labels is not None and bool((self.target_labels >= 0).any())

    @property
    def predictions(self) -> np.ndarray:
        """The class that the model says of every target image, int [n]."""
        return self.probabilities.argmax(axis=1)

    @property
    def distances(self) -> dict[str, float]:
        """Proxy A-distance "before" and "after" training, or "now", as far as it was logged."""
        newest, key = "after" if self.summary else "now", "score/a_distance"
        return {newest if line["step"] else "before": line[key] for line in self.lines if line.get(key) is not None}

    @property
    def distance_spread(self) -> float | None:
        """The largest standard deviation of that distance between divisions of the images; None if unknown."""
        return max((line.get("score/a_distance_spread") or 0.0 for line in self.lines), default=0.0) or None

    def features(self, before: bool = False) -> tuple[np.ndarray, np.ndarray] | None:
        """Features of the images that were kept, after training or before it: of the source float [ns, d], of the
        target [nt, d]; None if there are none."""
        names = [f"{domain}_features{'_before' if before else ''}" for domain in ("source", "target")]
        return tuple(self.evaluation[name] for name in names) if names[1] in self.evaluation else None

    @property
    def feature_labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels of these images: of the source int [ns], of the target [nt], -1 where unknown."""
        indices = self.evaluation["target_indices"]
        labels = np.full(len(indices), -1) if self.target_labels is None else self.target_labels[indices]
        return self.evaluation["source_labels"], labels


def load_run(workdir: str) -> LoggedRun:
    """Reads a run folder.

    Raises:
      UserError: there is no run in it.
    """
    written = read_settings(workdir)
    if written is None:
        raise UserError(f"--workdir={workdir} holds no run: expected settings.json there. Is the path right?")
    return LoggedRun(
        workdir,
        written["task"],
        written["settings"],
        tuple(written["class_names"]),
        tuple(tuple(group) for group in written.get("groups", ())),
        tuple(read_metrics(workdir)),
        read_summary(workdir),
        read_snapshot(workdir),
    )


def source_only_folder(workdir: str) -> str:
    """Returns where the run of source only lies that a run is compared with: .../source_only/seed0 of .../mcc/seed0,
    and photos_source_only of a folder of one's own, photos."""
    name = os.path.basename(os.path.abspath(workdir))
    if not re.fullmatch(r"seed\d+", name):
        return f"{os.path.normpath(workdir)}_source_only"
    return os.path.normpath(os.path.join(workdir, "..", "..", "source_only", name))


def beside(run: LoggedRun) -> LoggedRun | None:
    """The finished run of source only on the same task and seed that lies beside a run; None if there is none."""
    folder = os.path.join(run.workdir, "candidates", "source_only", f"seed{run.settings['seed']}")  # of --method=auto
    if not os.path.isdir(folder):
        folder = source_only_folder(run.workdir)
    if run.settings["method"] == "source_only" or read_settings(folder) is None or read_summary(folder) is None:
        return None
    found = load_run(folder)
    alike = all(found.settings.get(name) == run.settings.get(name) for name in names("compared"))
    return found if alike and (found.task, found.class_names) == (run.task, run.class_names) else None
