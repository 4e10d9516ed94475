"""The decision: what it follows, what it is not fooled by, and what it says."""

import numpy as np
import pytest

from gsda_tf.choosing.choice import choose
from gsda_tf.choosing.criteria import Candidate

CLASSES, EACH = 4, 25
TRUTH = np.repeat(np.arange(CLASSES), EACH)


def candidate(name, labels, seeds=2, top=0.9):
    rest = (1 - top) / (CLASSES - 1)
    return Candidate(name, np.tile(np.eye(CLASSES)[labels] * (top - rest) + rest, (seeds, 1, 1)))


def wrong(share, seed=0):
    """The truth, of which a share is moved to a random other class."""
    rng = np.random.default_rng(seed)
    labels, moved = TRUTH.copy(), rng.permutation(len(TRUTH))[: round(share * len(TRUTH))]
    labels[moved] = (labels[moved] + rng.integers(1, CLASSES, len(moved))) % CLASSES
    return labels


def test_the_candidate_that_follows_the_clusters_wins_and_the_sentence_says_so():
    made = choose([candidate("source_only", wrong(0.4)), candidate("mcc", wrong(0.05, 1))], TRUTH)
    assert (made.name, made.runner_up) == ("mcc", "source_only")
    assert made.reason.startswith("mcc: its labels agree best with the clusters of your images (0.")
    assert "source only 0." in made.reason


def test_permuted_classes_do_not_win_though_they_agree_with_the_clusters():
    permuted = candidate("spl", (TRUTH + 1) % CLASSES)
    made = choose([candidate("source_only", wrong(0.3)), candidate("mcc", wrong(0.15, 1)), permuted], TRUTH)
    assert made.scores["spl"]["clusters"] == pytest.approx(1)
    assert made.name == "mcc"


def test_labels_that_were_handed_over_count_beside_the_clusters():
    plain, mcc = wrong(0.4), wrong(0.05, 1)
    candidates = [candidate("source_only", plain), candidate("mcc", mcc)]
    none = choose(candidates, TRUTH, np.full(len(TRUTH), -1))
    assert none == choose(candidates, TRUTH) and none.name == "mcc"
    few = choose(candidates, TRUTH, np.where(np.arange(len(TRUTH)) < 4, (mcc + 1) % CLASSES, -1))
    assert few.name == "mcc" and few.scores["mcc"]["labels"] == 0 and "right on 0 % of 4 labelled" in few.reason
    many = choose(candidates, TRUTH, np.where(plain != mcc, plain, -1))
    assert many.scores["source_only"]["labels"] == 1
    assert many.scores["mcc"]["score"] < none.scores["mcc"]["score"]


def test_spl_stands_on_frozen_features_unless_it_is_alone_or_labels_decide():
    others = [candidate("source_only", wrong(0.4)), candidate("mcc", wrong(0.05, 1))]
    spl = candidate("spl", wrong(0.15, 2), seeds=1)
    made = choose([*others, spl], TRUTH)
    assert (made.name, made.runner_up) == ("spl", "mcc") and "nothing speaks against it" in made.reason
    assert choose([*others, spl], TRUTH, frozen=False).name == "mcc"
    assert choose([*others, spl], TRUTH, labels=TRUTH).name == "mcc"
    assert choose([*others, candidate("spl", wrong(0.5, 2), seeds=1)], TRUTH).name == "mcc"
    best = choose([*others, candidate("spl", TRUTH, seeds=1)], TRUTH)
    assert best.name == "spl" and best.reason.startswith("spl: its labels agree best")


def test_source_only_wins_ties_and_against_what_is_hardly_better():
    same = wrong(0.2)
    made = choose([candidate("source_only", same), candidate("mcc", same)], TRUTH)
    assert made.name == "source_only" and "do not adapt" in made.reason and made.runner_up == "mcc"


def test_one_candidate_is_taken():
    made = choose([candidate("gsda", wrong(0.2), seeds=1)], TRUTH)
    assert made.name == "gsda" and made.runner_up is None
    assert np.isnan(made.scores["gsda"]["seeds"])


def test_one_class_for_all_images_never_wins():
    collapsed = candidate("bnm", np.zeros_like(TRUTH))
    assert choose([candidate("source_only", wrong(0.5)), collapsed], TRUTH).name == "source_only"


def test_classes_that_nobody_predicts_do_no_harm():
    absent = np.where(TRUTH == 3, 2, TRUTH)
    assert choose([candidate("source_only", wrong(0.5)), candidate("mcc", absent)], TRUTH).name == "mcc"


def test_a_candidate_has_one_voice_however_many_seeds():
    few, many = candidate("mcc", wrong(0.1, 1), seeds=1), candidate("bad", (TRUTH + 1) % CLASSES, seeds=9)
    made = choose([candidate("source_only", wrong(0.2), seeds=1), few, many], TRUTH)
    assert made.scores["mcc"]["crowd"] > made.scores["bad"]["crowd"]


def test_the_mean_of_the_seeds_is_the_answer():
    one = Candidate("mcc", np.array([[[0.9, 0.1]], [[0.4, 0.6]]]))
    np.testing.assert_allclose(one.mean, [[0.65, 0.35]])
    assert one.mean.argmax(axis=1) == Candidate("x", one.mean[None]).predictions[0]
