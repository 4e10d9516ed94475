import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.records import ArrayRecords
from gsda_tf.runs.contents import SNAPSHOT
from gsda_tf.settings import DataSettings
from gsda_tf.training.evaluator import Evaluator
from gsda_tf.training.inference import Outputs, Sharded

_SETTINGS = DataSettings(image_size=4, resize_size=4)


def _domain(name, size, labels):
    images = np.zeros((size, 4, 4, 3), np.uint8)
    images[..., 0] = np.arange(size)[:, None, None] % 251  # an image tells which it is
    return DomainData(name, ArrayRecords(images, name), np.asarray(labels, np.int32))


def _data(target_labels):
    source = _domain("source", 40, np.arange(40) % 3)
    return TaskData("toy/S_T", source, _domain("target", len(target_labels), target_labels), ("a", "b", "c"))


def _inference(domain, again=False):
    """Predicts class 0 for even images and 1 for odd ones, surer with every image."""
    which = domain.records.load(tf.range(len(domain))).numpy()[:, 0, 0, 0].astype(np.float32)
    logits = np.zeros((len(domain), 3), np.float32)
    logits[np.arange(len(domain)), which.astype(int) % 2] = 1 + which
    return Outputs(np.stack([which, which**2], axis=1), logits)


def test_scores_by_hand():
    evaluation = Evaluator(_data([0, 1, 2, 0]), _SETTINGS, _inference)()
    assert evaluation.scores["accuracy/target"] == 0.5
    assert evaluation.scores["accuracy/target_mean_class"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert evaluation.per_class == {"a": 0.5, "b": 1.0, "c": 0.0}
    assert evaluation.scores["accuracy/source"] == np.mean(np.arange(40) % 3 == np.arange(40) % 2)
    assert all(v is None or np.isfinite(v) for v in evaluation.scores.values())


def test_labels_of_the_target_change_nothing_but_the_score():
    one = Evaluator(_data([0, 1, 2, 0]), _SETTINGS, _inference)()
    other = Evaluator(_data([2, 2, 1, 1]), _SETTINGS, _inference)()
    free = [k for k in one.scores if k.startswith("score/") or k == "accuracy/source"]
    assert len(free) == 3 and all(one.scores[k] == other.scores[k] for k in free)


def test_outputs_that_are_known_are_not_computed_again():
    data, asked = _data([0, 1, 2, 0]), []

    def inference(domain, again=False):
        asked.append(domain.name)
        return _inference(domain)

    evaluator = Evaluator(data, _SETTINGS, inference)
    whole = evaluator()
    known = evaluator(whole.target)
    assert asked == ["source", "target", "source"]
    assert known.scores == whole.scores and known.target is whole.target


def test_unlabelled_target(tmp_path):
    evaluator = Evaluator(_data([-1] * 5), _SETTINGS, _inference)
    evaluation = evaluator()
    assert evaluation.scores["accuracy/target"] is None and evaluation.per_class is None
    evaluator.keep(str(tmp_path), evaluation, 7)
    kept = np.load(tmp_path / SNAPSHOT)
    assert (kept["target_labels"] == -1).all() and len(kept["mistake_indices"]) == 0
    scores, predictions = kept["target_probabilities"].max(axis=1), kept["target_probabilities"].argmax(axis=1)
    surest = {
        int(k): int(np.flatnonzero(predictions == k)[scores[predictions == k].argmax()]) for k in set(predictions)
    }
    assert sorted(kept["sure_indices"]) == sorted(surest.values())
    assert scores[kept["unsure_indices"][0]] == scores.min()
    assert kept["unsure_names"].tolist() == [f"target[{i}]" for i in kept["unsure_indices"]]


def test_what_is_kept_belongs_together(tmp_path):
    data = _data([0, 1, 2, 0, 1])
    evaluator = Evaluator(data, _SETTINGS, _inference)
    evaluator.keep(str(tmp_path), evaluator(), 0)
    before = dict(np.load(tmp_path / SNAPSHOT))
    assert "source_features" not in before
    evaluator.keep(str(tmp_path), evaluator(), 7)
    kept = np.load(tmp_path / SNAPSHOT)
    for side in ("source", "target"):
        np.testing.assert_array_equal(kept[f"{side}_features"][:, 0], kept[f"{side}_indices"])
        np.testing.assert_array_equal(kept[f"{side}_features_before"], before[f"{side}_features_before"])
    # Images 2, 3 and 4 are wrong, the last the surest; a thumbnail shows its image.
    assert kept["mistake_indices"].tolist() == [4, 3, 2]
    assert kept["mistake_images"][:, 0, 0, 0].tolist() == [4, 3, 2]
    assert kept["mistake_names"].tolist() == [data.target.records.name(i) for i in (4, 3, 2)]
    assert kept["source_counts"].tolist() == np.bincount(data.source.labels, minlength=3).tolist()
    np.testing.assert_allclose(kept["target_probabilities"].sum(axis=1), 1, rtol=1e-5)


def test_large_sets_are_sampled_evenly_and_thumbnails_are_small(tmp_path):
    settings = dataclasses.replace(_SETTINGS, image_size=120, resize_size=120)
    data = _data(np.arange(1500) % 3)
    data = dataclasses.replace(data, source=_domain("source", 7000, np.arange(7000) % 3))

    def inference(domain, again=False):
        n = len(domain)
        return Outputs(domain.labels[:, None].astype(np.float32) + np.zeros((n, 2), np.float32), np.eye(3)[[0] * n])

    evaluator = Evaluator(data, settings, inference)
    evaluator.keep(str(tmp_path), evaluator(), 1)
    kept = np.load(tmp_path / SNAPSHOT)
    assert len(kept["source_indices"]) == len(kept["target_indices"]) == 400
    np.testing.assert_array_equal(kept["source_features"][:, 0], kept["source_labels"])
    np.testing.assert_array_equal(kept["source_labels"], data.source.labels[kept["source_indices"]])
    assert kept["target_probabilities"].shape == (1500, 3)
    assert kept["mistake_images"].shape == (24, 96, 96, 3)


def test_a_notebook_of_many_runs_hears_of_no_retracing(caplog):
    log, settings = tf.get_logger(), dataclasses.replace(_SETTINGS, evaluation_batch=2)
    domain = _domain("a", 2, [0, 1])
    log.addHandler(caplog.handler)
    try:
        for _ in range(8):
            run = Sharded(lambda images: tf.cast(images, tf.float32), settings, tf.distribute.get_strategy())
            (made,) = run(domain)
            assert made.shape == (2, 4, 4, 3)
    finally:
        log.removeHandler(caplog.handler)
    assert not caplog.records
