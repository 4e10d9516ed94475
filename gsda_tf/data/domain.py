"""What a domain holds once it is loaded: images that are read by index, and what is known about them.

Every way to bring images (a benchmark, two folders, two lists) ends in two `DomainData`, a `TaskData`. All that follows
needs only these, so a new way in is a function that returns them. Where a domain lies, its user says by `api.Domain`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from gsda_tf.data.records import Records

UNLABELLED = -1
UNKNOWN = "unknown"
"""What images are called that are of no class of the source."""


@dataclasses.dataclass(frozen=True)
class DomainData:
    """The images of one place.

    Attributes:
      name: what tables and messages call it ("amazon").
      records: the images.
      labels: int32 [n], indices into the task's class names; -1 where unlabelled. Labels of a target domain
        are for the final score only.
      taught: int32 [n], of a target: labels that its user handed over for training, -1 elsewhere; None without any.
        No image has both.
      handed: of a target: True if `labels` were handed over with them, so that a choice may be made by them, too.
      places: int32 [n], of a source from several places: the number of each image's among `place_names`; None: of one.
      place_names: what these places are called.
    """

    name: str
    records: Records
    labels: np.ndarray
    taught: np.ndarray | None = None
    handed: bool = False
    places: np.ndarray | None = None
    place_names: tuple[str, ...] = ()

    def __post_init__(self):
        if len(self.records) != len(self.labels):
            raise ValueError(f"{self.name}: {len(self.records)} images but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> bool:
        """True if an image has a label."""
        return bool((self.labels >= 0).any())

    def chosen(self, indices: np.ndarray) -> DomainData:
        """Some of its images, in that order, as a domain; `indices` int64 [m]."""
        arrays = {name: getattr(self, name) for name in ("labels", "taught", "places")}
        some = {name: array[indices] for name, array in arrays.items() if array is not None}
        return dataclasses.replace(self, records=self.records.chosen(indices), **some)


@dataclasses.dataclass(frozen=True)
class TaskData:
    """A task: a source, a target, and their classes.

    Attributes:
      name: "office31/A_W", or what the folders or lists are called; the run's default folder follows from it.
      source: labelled images.
      target: images whose labels, if there are any, only score the result.
      class_names: r names; `labels` are indices into them. Where `unknown`, `UNKNOWN` stands behind them.
      score: the accuracy that is reported, of `selection.SCORES`.
      remarks: what the user should know of how the data were read, a line each.
      held: source images that are not trained on, but score; None without any.
      unknown: whether target images may be of no class of the source, `--unknown=reject`.
    """

    name: str
    source: DomainData
    target: DomainData
    class_names: tuple[str, ...]
    score: str = "accuracy"
    remarks: tuple[str, ...] = ()
    held: DomainData | None = None
    unknown: bool = False

    @property
    def source_scored(self) -> str:
        """Which source images accuracy/source is of: "held-out" or "training"."""
        return "held-out" if self.held else "training"

    @property
    def roles(self) -> tuple[tuple[str, DomainData], tuple[str, DomainData]]:
        """Both domains and what they are: "source" and "target"."""
        return ("source", self.source), ("target", self.target)

    @property
    def known(self) -> tuple[str, ...]:
        """The names of the source's classes."""
        return self.class_names[:-1] if self.unknown else self.class_names

    @property
    def taught(self) -> np.ndarray | None:
        """The target's labels that are trained on, int32 [nt], -1 elsewhere; None without any. What was labelled as
        unknown has none."""
        taught = self.target.taught
        if taught is not None and self.unknown:
            taught = np.where(taught < len(self.known), taught, UNLABELLED)
        return None if taught is None or not (taught >= 0).any() else taught

    @property
    def target_classes(self) -> tuple[int, ...]:
        """The classes that labelled target images have; all of them if not every image is labelled."""
        if not (self.target.labels >= 0).all():
            return tuple(range(len(self.known)))
        return tuple(int(c) for c in np.unique(self.target.labels) if c < len(self.known))

    @property
    def partial(self) -> bool:
        """True if the target is known to have only some of the source's classes."""
        return len(self.target_classes) < len(self.known)

    def summary(self) -> str:
        """One line for the user: how many images and classes, and what kind of adaptation that makes."""
        classes = len(self.known)
        labelled = int((self.target.labels >= 0).sum())
        if not labelled:
            kind = "target without labels, so no accuracy is claimed"
        elif labelled < len(self.target):
            kind = f"scored by {labelled:,} labelled target images"
        elif self.partial:
            kind = f"partial adaptation, the target has {len(self.target_classes)} of the {classes} classes"
        else:
            kind = f"{classes} classes in both"
        if self.partial or labelled < len(self.target):
            kind = f"{classes} source classes; {kind}"
        kind += f", others are {UNKNOWN}" if self.unknown else ""
        return f"{self.name}: {len(self.source):,} source and {len(self.target):,} target images, {kind}"


def hold_out(data: TaskData, share: float) -> TaskData:
    """Takes `share` of each source class, rounded down, out of what is trained on: the same images for every seed."""
    rng, labels = np.random.default_rng(0), data.source.labels
    each = [rng.permutation(np.flatnonzero(labels == c)) for c in range(len(data.class_names))]
    held = np.sort(np.concatenate([places[: int(len(places) * share)] for places in each]))
    if not len(held):
        return data
    kept = np.setdiff1d(np.arange(len(labels)), held)
    remark = f"Held out: {len(held):,} of {len(labels):,} source images are not trained on; accuracy/source is theirs."
    return dataclasses.replace(
        data, source=data.source.chosen(kept), held=data.source.chosen(held), remarks=(*data.remarks, remark)
    )


def evenly(size: int, most: int) -> np.ndarray:
    """At most `most` indices, evenly spread over 0..size-1; int64."""
    return np.arange(size) if size <= most else np.linspace(0, size - 1, most).round().astype(np.int64)
