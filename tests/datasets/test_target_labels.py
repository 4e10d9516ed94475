"""Labels of some target images: which are trained on, which only score, and that no others are looked at."""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.data.domain import UNLABELLED, DomainData, TaskData
from gsda_tf.data.features import FeatureRecords
from gsda_tf.data.fingerprint import changes, fingerprint, with_classes
from gsda_tf.datasets import loading
from gsda_tf.datasets.target_labels import hand_over
from gsda_tf.errors import DataError
from gsda_tf.settings import DataSettings
from tests.data.pictures import folders, write_domain

R = 3


def task(labels) -> TaskData:
    """Features, whose target has these labels."""

    def domain(name, labels):
        rows = np.random.default_rng(len(name)).normal(size=(len(labels), 4)).astype(np.float32)
        return DomainData(name, FeatureRecords(rows, f"{name}.npz"), np.asarray(labels, np.int32))

    return TaskData("t", domain("s", np.arange(9) % R), domain("target", labels), ("bike", "mug", "pen"))


def listed(tmp_path, text: str, **more) -> DataSettings:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return DataSettings(target_labels=str(path), **more)


def test_a_target_that_is_labelled_throughout_or_not_at_all_only_scores():
    for labels in (np.arange(6) % R, np.full(6, UNLABELLED)):
        data = task(labels)
        assert hand_over(data, DataSettings()) is data and data.target.taught is None


def test_half_of_a_target_labelled_in_part_is_trained_on_and_half_scores():
    given = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, UNLABELLED, UNLABELLED, 2])
    target = hand_over(task(given), DataSettings()).target
    assert target.handed and not ((target.taught >= 0) & (target.labels >= 0)).any()
    assert np.array_equal(np.maximum(target.taught, target.labels), given)
    for label, count in ((0, 2), (1, 2), (2, 1)):
        assert (target.taught == label).sum() == (target.labels == label).sum() == count
    one = hand_over(task(given), DataSettings(target_holdout=0.0)).target
    assert np.array_equal(one.taught, given) and not one.labelled and not one.handed
    all_score = hand_over(task(given), DataSettings(target_holdout=1.0)).target
    assert all_score.taught is None and np.array_equal(all_score.labels, given)


def test_a_list_is_trained_on_and_other_labels_only_score(tmp_path):
    truth = np.arange(9) % R
    data = hand_over(task(truth), listed(tmp_path, "target.npz[0] bike\ntarget.npz[4] mug\ntarget.npz[5] -1\n"))
    assert np.flatnonzero(data.target.taught >= 0).tolist() == [0, 4] and not data.target.handed
    assert data.target.labels.tolist() == [UNLABELLED, 1, 2, 0, UNLABELLED, 2, 0, 1, 2]
    assert "2 are trained on, 7 only score" in data.remarks[-1]


def test_a_column_says_which_score(tmp_path):
    rows = ("image,label,use", "target.npz[0],bike,train", "target.npz[1],mug,train", "target.npz[2],pen,score",
            "target.npz[3],,score")  # fmt: skip
    target = hand_over(task(np.full(9, UNLABELLED)), listed(tmp_path, "\n".join(rows))).target
    assert np.flatnonzero(target.taught >= 0).tolist() == [0, 1] and np.flatnonzero(target.labels >= 0).tolist() == [2]
    assert target.handed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("target.npz[0] lamp\n", "'lamp' (.*labels.csv line 1.*) is not a class of the source"),
        ("target.npz[99] bike\n", "line 1 .* is 0 images of the target"),
        ("target.npz[0] -1\ntarget.npz[1] -1\n", "has no label yet"),
        ("target.npz[0] bike\ntarget.npz[0] mug\n", "two labels"),
        ("target.npz[0] bike\n./target.npz[0] mug\n", "two labels"),
        ("target.npz[1] pen\ntarget.npz[2] mug\n", "line 1 .* labelled otherwise"),
        ("image,label,use\ntarget.npz[0],bike,test\n", "has the use test: expected score, train or none"),
        ("target.npz[0] bike\ntarget.npz[3] bike\n", "All 2 target labels to be trained on are 'bike'"),
    ],
)
def test_a_list_that_cannot_be_meant(tmp_path, text, said):
    with pytest.raises(DataError, match=said) as refused:
        hand_over(task(np.arange(9) % R), listed(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_folders_beside_one_without_labels(tmp_path):
    source = write_domain(tmp_path / "photos", {"bike": 3, "mug": 2, "pen": 2})
    target = write_domain(tmp_path / "new", {"bike": 2, "mug": 2, "unlabelled": 3}, first=100)
    data = loading.load(folders(source, target))
    assert len(data.target) == 7 and (data.target.taught >= 0).sum() == (data.target.labels >= 0).sum() == 2
    names = [data.target.records.name(i) for i in range(7)]
    (tmp_path / "l.txt").write_text(f"{names[-1]} pen\n{os.path.relpath(names[0], target)} bike\n")
    settings = dataclasses.replace(folders(source, target), target_labels=str(tmp_path / "l.txt"))
    other = loading.load(settings).target
    assert other.taught.tolist() == [0, -1, -1, -1, -1, -1, 2] and other.labels.tolist() == [-1, 0, 1, 1, -1, -1, -1]
    with pytest.raises(DataError, match="has no such folder"):
        loading.load(dataclasses.replace(folders(source, target), unlabelled_folder="rest"))


def test_a_run_knows_the_labels_that_it_was_trained_on():
    given = np.array([0, 0, 1, 1, 2, 2, UNLABELLED, UNLABELLED])
    data = hand_over(task(given), DataSettings())
    otherwise = hand_over(task(np.roll(given, 1)), DataSettings())
    assert not changes(fingerprint(data), fingerprint(data))
    assert changes(fingerprint(data), fingerprint(otherwise))
    assert "trained target" not in fingerprint(task(given))
    turned = with_classes(data, ("pen", "mug", "bike"))
    assert sorted(turned.target.taught[turned.target.taught >= 0]) == sorted(
        2 - data.target.taught[data.target.taught >= 0]
    )
    assert fingerprint(turned)["trained target"] == fingerprint(data)["trained target"]


def test_labels_that_were_not_handed_over_change_no_batch_and_no_weight(tmp_path):
    """Beside a list, the target's own labels are anybody's guess."""
    from gsda_tf import recipes
    from gsda_tf.data.batches import TrainingBatches
    from gsda_tf.training.experiment import Experiment

    settings = listed(tmp_path, "target.npz[0] bike\ntarget.npz[4] mug\n", source_batch=4, target_batch=8)
    found = []
    for labels in (np.arange(9) % R, [0, 2, 1, 2, 1, 0, 0, 2, 2]):
        data = hand_over(task(labels), settings)
        values = {"method": "mcc", "extractor": "features:4", "weights": "none", "freeze_backbone": True,
                  "bottleneck_units": 5, "steps": 3, "source_batch": 4, "target_batch": 8}  # fmt: skip
        built = Experiment(recipes.written(values), data, tf.distribute.get_strategy())
        for i, batch in enumerate(TrainingBatches(data, settings, 0).dataset(0, 3)):
            metrics = built.training_step(batch, tf.constant(i, tf.int64))
            taken = np.isin(batch["target_indices"].numpy(), [0, 4])
            assert taken.sum() >= 2 and float(metrics["loss/target_labels"]) > 0
        found.append(built.weights_sha256())
    assert found[0] == found[1]
