"""Everything together, on blobs whose classes are known here and not there."""

import inspect

import numpy as np
import pytest

from gsda_tf.choosing import clustering
from gsda_tf.choosing.criteria import Candidate
from gsda_tf.choosing.decision import decide

from .test_clustering import blobs

NAMES = tuple("abcde")
SOURCE, LABELS = blobs(noise=0.2, seed=0)
TARGET, TRUTH = blobs(noise=0.2, seed=1)


def candidate(name, *predictions, top=0.8):
    rest = (1 - top) / 4
    return Candidate(name, np.stack([np.eye(5)[p] * (top - rest) + rest for p in predictions]))


def off(every):
    """The truth, wrong on every so manieth image."""
    labels = TRUTH.copy()
    labels[::every] = (labels[::every] + 1) % 5
    return labels


def made(*candidates):
    return decide(candidates, SOURCE, LABELS, TARGET, NAMES)


def test_the_seed_nearest_to_its_candidate_answers():
    found = made(candidate("source_only", off(3), off(4)), candidate("mcc", off(9), off(7), off(9)))
    assert found.choice.name == "mcc" and found.seed == 0
    np.testing.assert_array_equal(found.answers, off(9))


def test_agreement_is_lower_where_candidates_differ_and_unanimous_answers_need_every_run_and_witness():
    found = made(candidate("source_only", off(10), top=0.95), candidate("mcc", TRUTH, top=0.95))
    same = off(10) == TRUTH
    assert found.agreement[same].min() > found.agreement[~same].max()
    assert not found.unanimous[~same].any() and found.unanimous[same].any()
    permuted = decide([candidate("mcc", TRUTH, top=0.95)], SOURCE, (LABELS + 1) % 5, TARGET, NAMES)
    assert not permuted.unanimous.any()  # the nearest class mean says otherwise


def test_the_sentence_names_choice_reason_estimate_and_runner_up():
    found = made(candidate("source_only", off(3)), candidate("mcc", TRUTH))
    assert found.sentence.startswith("mcc: its labels agree best")
    assert f"probably {100 * found.estimate.value:.0f} % right" in found.sentence
    assert found.sentence.endswith("next is source_only.")
    assert found.estimate.low <= found.estimate.value <= found.estimate.high


def test_how_many_are_right_from_an_agreement_on_and_what_to_do():
    found = made(candidate("source_only", off(4), top=0.9), candidate("mcc", TRUTH, top=0.9))
    wrong = np.mean(off(4) != TRUTH)
    (sure, share, right), *_, (least, every, _) = found.levels
    assert sure == 0.9 and share == pytest.approx(1 - wrong) and right == pytest.approx(0.9)
    # Where the two differ it is (0.9 + 0.025) / 2, below all levels.
    assert least == 0.5 and every == pytest.approx(1 - wrong)
    assert found.right.mean() == pytest.approx(found.estimate.value)
    assert list(found.order[:25]) == sorted(found.order[:25], key=lambda i: found.agreement[i] + found.support[i])
    assert found.advice.startswith("Use it, and look at the first images")
    assert made(candidate("source_only", TRUTH), candidate("mcc", off(2))).advice.startswith("Do not adapt")
    assert made(candidate("mcc", TRUTH, top=0.5)).advice.startswith("Do not use the answers")
    sure = made(candidate("source_only", off(4), top=0.99), candidate("mcc", TRUTH, top=0.99)).advice
    assert sure.startswith("Use the answers whose agreement is") and f"other {round(wrong * 100)}," in sure


def test_what_is_not_trained_is_estimated_by_the_labels_that_the_others_give():
    found = made(candidate("source_only", off(4), top=0.5), candidate("spl", TRUTH, top=0.4))
    assert found.choice.name == "spl" and found.estimate.value == pytest.approx((0.75 + 1) / 2)
    assert made(candidate("mcc", TRUTH, top=0.5)).estimate.value == pytest.approx(0.5)


def test_the_same_again_bit_for_bit():
    runs = (candidate("source_only", off(3), off(4)), candidate("mcc", off(9), off(7)))
    once, again = made(*runs), made(*runs)
    assert once.sentence == again.sentence and once.choice.scores == again.choice.scores
    np.testing.assert_array_equal(once.agreement, again.agreement)


def test_no_label_of_the_target_is_an_argument_but_those_that_were_handed_over():
    assert set(inspect.signature(decide).parameters) == {
        "candidates", "source_features", "source_labels", "target_features", "class_names", "labels", "frozen"
    }  # fmt: skip


def test_what_all_candidates_miss_is_said():
    few = np.where(TRUTH == 4, 3, TRUTH)
    found = made(candidate("source_only", few), candidate("mcc", few))
    assert any("missing" in message and "e" in message for message in found.warnings)
    assert found.estimate.value == pytest.approx(0.8)


def test_as_many_clusters_as_classes_that_are_there(monkeypatch):
    counts = []
    real = clustering.clusters
    monkeypatch.setattr(clustering, "clusters", lambda values, count: counts.append(count) or real(values, count))
    made(candidate("source_only", TRUTH), candidate("mcc", TRUTH))
    made(candidate("source_only", np.minimum(TRUTH, 2)), candidate("mcc", np.minimum(TRUTH, 2)))
    made(candidate("source_only", 0 * TRUTH), candidate("mcc", 0 * TRUTH))
    assert counts == [5, 3, 2]
