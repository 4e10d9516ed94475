"""What a run left in its folder, read back: finished or still going."""

from __future__ import annotations

import dataclasses
import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from gsda_tf.errors import UserError
from gsda_tf.evaluation.selection import SCORES
from gsda_tf.runs.contents import read_metrics, read_settings, read_summary


@dataclasses.dataclass(frozen=True)
class Features:
    """Features of some images of both domains.

    Attributes:
      source: float [ns, d].
      target: float [nt, d].
      source_labels: int [ns].
      target_labels: int [nt], -1 where unknown.
      target_predictions: int [nt], -1 while the run is going.
    """

    source: np.ndarray
    target: np.ndarray
    source_labels: np.ndarray
    target_labels: np.ndarray
    target_predictions: np.ndarray


@dataclasses.dataclass(frozen=True)
class Run:
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
    def steps(self) -> int:
        """Steps that the run was asked for."""
        return int(self.settings["steps"])

    @property
    def score_key(self) -> str:
        """Which accuracy is reported: "accuracy/target" or "accuracy/target_mean_class"."""
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
        """Whether target labels are known, so that the result can be scored."""
        return self.target_labels is not None and bool((self.target_labels >= 0).any())

    @property
    def distances(self) -> dict[str, float]:
        """Proxy A-distance "before" and "after" training, or "now", as the log has it."""
        found = [(line["step"], line["score/a_distance"]) for line in self.lines if line.get("score/a_distance")]
        named = {"before": found[0][1]} if found and found[0][0] == 0 else {}
        if found and found[-1][0] > 0:
            named["after" if self.summary else "now"] = found[-1][1]
        return named

    def features(self, before: bool = False) -> Features | None:
        """Features of the images that were kept, after training or before it; None if there are none."""
        suffix = "_before" if before else ""
        if f"target_features{suffix}" not in self.evaluation:
            return None
        target = self.evaluation[f"target_features{suffix}"]
        unknown = np.full(len(target), -1)
        indices = self.evaluation["target_indices"]
        return Features(
            self.evaluation[f"source_features{suffix}"],
            target,
            self.evaluation["source_labels"],
            unknown if self.target_labels is None else self.target_labels[indices],
            unknown if self.probabilities is None else self.probabilities[indices].argmax(axis=1),
        )


def load_run(workdir: str) -> Run:
    """Reads a run folder.

    Raises:
      UserError: there is no run in it.
    """
    written = read_settings(workdir)
    if written is None:
        raise UserError(f"--workdir={workdir} holds no run: expected settings.json there. Is the path right?")
    return Run(
        workdir,
        written["task"],
        written["settings"],
        tuple(written["class_names"]),
        tuple(tuple(group) for group in written.get("groups", ())),
        tuple(read_metrics(workdir)),
        read_summary(workdir),
        _read_evaluation(os.path.join(workdir, "evaluation.npz"), len(written.get("class_names", ()))),
    )


def beside(run: Run) -> Run | None:
    """The finished run of source only on the same task and seed that lies beside a run, as .../source_only/seed0."""
    workdir = os.path.abspath(run.workdir)
    other = os.path.join(os.path.dirname(os.path.dirname(workdir)), "source_only", os.path.basename(workdir))
    if run.settings["method"] == "source_only" or read_settings(other) is None or read_summary(other) is None:
        return None
    found = load_run(other)
    alike = all(found.settings.get(name) == run.settings.get(name) for name in _ALIKE)
    return found if alike and (found.task, found.class_names) == (run.task, run.class_names) else None


_ALIKE = (
    "seed", "steps", "extractor", "weights", "freeze_backbone", "train_from", "image_size", "learning_rate",
)  # fmt: skip
"""Settings in which two runs must agree to be compared. Not the bottleneck's width, which a method may bring."""


def _read_evaluation(path: str, classes: int) -> dict[str, np.ndarray]:
    if not os.path.exists(path):
        return {}
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        _check_arrays(arrays, classes)
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError, MemoryError) as error:
        raise UserError(f"{path} cannot be read ({error}): remove it, and the report is made without it.") from error
    return arrays


# Kinds and dimensions, and the array that tells how many rows there are.
_ARRAYS = {
    "target_labels": ("iu", 1, "target_probabilities"),
    "target_probabilities": ("f", 2, "target_probabilities"),
    "source_labels": ("iu", 1, "source_labels"),
    "source_features_before": ("f", 2, "source_labels"),
    "source_features": ("f", 2, "source_labels"),
    "target_indices": ("iu", 1, "target_indices"),
    "target_features_before": ("f", 2, "target_indices"),
    "target_features": ("f", 2, "target_indices"),
    "mistake_indices": ("iu", 1, "mistake_indices"),
    "mistake_images": ("u", 4, "mistake_indices"),
}


def _check_arrays(arrays: Mapping[str, np.ndarray], classes: int) -> None:
    """Raises ValueError or KeyError if what the pictures are drawn from does not fit together."""
    for name, (kinds, dimensions, rows) in _ARRAYS.items():
        value = arrays.get(name)
        if value is None:
            continue
        count = len(arrays[rows])
        counts = (0, count) if name == "mistake_images" else (count,)  # of features there are no images
        if value.dtype.kind not in kinds or value.ndim != dimensions or len(value) not in counts:
            raise ValueError(f"its {name} are {value.dtype} {list(value.shape)}")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"its {name} are not finite")
        if name.endswith("labels") and ((value < -1) | (value >= classes)).any():
            raise ValueError(f"its {name} are no classes")
        if name in ("target_indices", "mistake_indices"):
            labels = arrays.get("target_labels")
            if labels is not None and ((value < 0) | (value >= len(labels))).any():
                raise ValueError(f"its {name} are of no images")
    if "target_probabilities" in arrays and arrays["target_probabilities"].shape[1] != classes:
        raise ValueError(f"its target_probabilities are not of {classes} classes")
