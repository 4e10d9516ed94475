"""Scores of E and C on both domains, and what is kept of them for the report."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from gsda_tf.data.batches import evaluation_batches
from gsda_tf.data.domain import DomainData, TaskData, evenly
from gsda_tf.evaluation import accuracy
from gsda_tf.evaluation.unsupervised import a_distance
from gsda_tf.runs.contents import read_snapshot, write_snapshot
from gsda_tf.settings import DataSettings
from gsda_tf.training.inference import Inference, Outputs

_MOST_SOURCE_IMAGES = 5000
"""Source accuracy is measured on at most this many images, evenly spread over the set."""
_MOST_KEPT = 400
"""Images of each domain whose features are kept for pictures: as many as `reporting.embedding` draws."""
_MOST_MISTAKES = 24
_MOST_EXTREMES = 12
_THUMBNAIL = 96
"""Pixels; smaller images are kept as they are."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One evaluation.

    Attributes:
      scores: accuracy/source, accuracy/target, accuracy/target_mean_class, score/a_distance and its spread, 0..1 or
        as `unsupervised` says, None where unknown; of a target with unknown classes those of `accuracy.open_scores`.
      by_place: accuracy by the name of each of several sources; {} of one.
      sample: how many labelled images the target's scores are of, where others have no label; else None.
      per_class: target accuracy by class name, of the classes that occur; None without target labels.
      source_indices: int64, the source images that were used.
      source: their outputs.
      target: outputs of every target image.
    """

    scores: dict[str, float | None]
    per_class: dict[str, float] | None
    source_indices: np.ndarray
    source: Outputs
    target: Outputs
    sample: int | None = None
    by_place: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def known(self) -> dict[str, float]:
        """The scores that are known, by name."""
        return {name: value for name, value in self.scores.items() if value is not None}


class Evaluator:
    """Scores both domains, and keeps what the report shows.

    Args:
      data: the task.
      settings: geometry of images.
      inference: of E and C.
      inputs: what `inference` reads, the task's images or their features; None: the images.
    """

    def __init__(self, data: TaskData, settings: DataSettings, inference: Inference, inputs: TaskData | None = None):
        self._data, self._settings, self._inference = data, settings, inference
        self._inputs = inputs or data
        self._chosen = evenly(len(data.source), _MOST_SOURCE_IMAGES)
        self._source = self._inputs.source.chosen(self._chosen)
        self._held = self._inputs.held and self._inputs.held.chosen(evenly(len(data.held), _MOST_SOURCE_IMAGES))
        self._scored = self._held or data.source.chosen(self._chosen)
        # Of the images whose features are kept; those of the source are among the evaluated ones.
        self._kept = self._chosen[evenly(len(self._chosen), _MOST_KEPT)], evenly(len(data.target), _MOST_KEPT)

    def __call__(self, target: Outputs | None = None) -> Evaluation:
        """Evaluates the weights as they are.

        Args:
          target: what they make of every target image, if that is known already.
        """
        data, chosen = self._data, self._chosen
        source = self._inference(self._source, again=True) if len(chosen) else None
        held = self._inference(self._held, again=True) if self._held else source
        target = target or self._inference(self._inputs.target, again=True)
        source = source or Outputs(target.features[:0], target.logits[:0])
        labels, per_class = data.target.labels, None
        right, by_place = held.predictions == self._scored.labels if held else np.zeros(0, bool), {}
        scores = dict.fromkeys(("accuracy/source", "accuracy/target", "accuracy/target_mean_class"))
        if held:
            scores["accuracy/source"] = float(right.mean())
        if data.target.labelled:
            predictions, labels = target.predictions[labels >= 0], labels[labels >= 0]
            scores["accuracy/target"] = accuracy.accuracy(predictions, labels)
            scores["accuracy/target_mean_class"] = accuracy.mean_class_accuracy(predictions, labels)
            values = accuracy.per_class_accuracy(predictions, labels, len(data.class_names))
            per_class = {name: float(v) for name, v in zip(data.class_names, values) if np.isfinite(v)}
            if data.unknown:
                scores.update(accuracy.open_scores(values))
        found = zip(("score/a_distance", "score/a_distance_spread"), a_distance(source.features, target.features))
        scores.update({name: value if np.isfinite(value) else None for name, value in found})
        sample = len(labels) if len(labels) < len(data.target) else None
        for number, name in enumerate(data.source.place_names):
            mine = self._scored.places == number
            by_place.update({name: float(right[mine].mean())} if mine.any() else {})
        return Evaluation(scores, per_class, chosen, source, target, sample, by_place)

    def keep(self, workdir: str, evaluation: Evaluation, step: int) -> None:
        """Keeps in evaluation.npz what the model makes of the images before the first step, and at the end.

        Before: source_features_before and target_features_before float32 [<=400, d] of the images source_indices and
        target_indices, and source_labels. At the end besides: step; source_features and target_features of the same
        images; target_labels int32 [nt], -1 unlabelled, and target_probabilities float32 [nt, r] of all target images;
        source_counts int64 [r], source images by class; and <kind>_indices [m], <kind>_images uint8 [m, h, w, 3] and
        <kind>_names [m] of three kinds: mistake, the surest first, and where nothing is labelled sure, the surest of
        each of some classes, and unsure.

        Args:
          workdir: of the run.
          evaluation: of the weights as they are.
          step: 0 before the first.
        """
        source, target = self._kept
        features = {
            "source_features": evaluation.source.features[np.searchsorted(evaluation.source_indices, source)],
            "target_features": evaluation.target.features[target],
        }
        if step == 0:
            arrays = {f"{name}_before": value for name, value in features.items()}
        else:
            arrays = {**read_snapshot(workdir), **features}
        arrays.update(source_indices=source, source_labels=self._data.source.labels[source], target_indices=target)
        if step:
            arrays.update(self._described(evaluation), step=np.int64(step))
        write_snapshot(workdir, arrays)

    def _described(self, evaluation: Evaluation) -> dict[str, np.ndarray]:
        labels, probabilities = self._data.target.labels, evaluation.target.probabilities
        kinds = {"mistake": accuracy.confident_mistakes(probabilities, labels, _MOST_MISTAKES)}
        if not self._data.target.labelled:
            kinds["sure"], kinds["unsure"] = extremes(probabilities.max(axis=1), probabilities.argmax(axis=1))
        arrays = {
            "target_labels": labels,
            "target_probabilities": probabilities,
            "source_counts": np.bincount(self._data.source.labels, minlength=len(self._data.class_names)),
        }
        for kind, indices in kinds.items():
            arrays.update(looks(self._data.target, kind, indices, self._settings))
        return arrays


def looks(domain: DomainData, kind: str, indices: np.ndarray, settings: DataSettings) -> dict[str, np.ndarray]:
    """Returns some images as `Evaluator.keep` keeps them: <kind>_indices, <kind>_images and <kind>_names."""
    images = thumbnails(domain, indices, settings)
    names = np.array([domain.records.name(int(i)) for i in indices], np.str_)
    return {f"{kind}_indices": indices, f"{kind}_images": images, f"{kind}_names": names}


def extremes(scores: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the images with the highest scores, float [n], one a predicted class, int [n]; and those with the lowest."""
    order = np.argsort(-scores, kind="stable")
    first = np.sort(np.unique(predictions[order], return_index=True)[1])
    return order[first][:_MOST_EXTREMES], order[::-1][:_MOST_EXTREMES]


def thumbnails(domain: DomainData, indices: np.ndarray, settings: DataSettings) -> np.ndarray:
    """uint8 [m, h, w, 3], as the network sees the images; none of features that came without images."""
    if not len(indices) or not domain.records.visible:
        return np.zeros((0, _THUMBNAIL, _THUMBNAIL, 3), np.uint8)
    (images,) = evaluation_batches(domain.chosen(indices), settings, len(indices))
    if images.shape[1] > _THUMBNAIL:
        images = tf.image.resize(images, [_THUMBNAIL] * 2, antialias=True)
        images = tf.cast(tf.clip_by_value(tf.round(images), 0, 255), tf.uint8)
    return images.numpy()
