"""Criteria against slow references, and what they are blind to."""

import math
import pkgutil

import numpy as np
import pytest

from gsda_tf.choosing import criteria
from gsda_tf.choosing.criteria.clusters import cluster_information
from gsda_tf.choosing.criteria.seeds import agreement_between_seeds, agreement_with_others, pairwise_agreement

from .test_clustering import blobs


def test_cluster_information_is_blind_to_permuted_classes():
    _, labels = blobs()
    assert cluster_information(labels, labels) == pytest.approx(1)
    assert cluster_information((labels + 1) % 5, labels) == pytest.approx(1)
    assert cluster_information(np.zeros_like(labels), labels) == 0
    shuffled = np.random.default_rng(0).permutation(labels)
    assert abs(cluster_information(shuffled, labels)) < 0.2


def test_one_class_in_one_cluster_is_no_information():
    assert cluster_information(np.zeros(9, int), np.zeros(9, int)) == 0


def test_pairs_of_candidates_and_of_seeds():
    predictions = np.array([[0, 1, 2, 3], [0, 1, 2, 0], [0, 0, 2, 3]])
    candidates = np.array([0, 0, 1])
    np.testing.assert_allclose(pairwise_agreement(predictions), [[1, 0.75, 0.75], [0.75, 1, 0.5], [0.75, 0.5, 1]])
    np.testing.assert_allclose(agreement_with_others(predictions, candidates), [0.75, 0.5, 0.625])
    np.testing.assert_allclose(agreement_between_seeds(predictions, candidates), [0.75, 0.75, np.nan])
    assert np.isnan(agreement_with_others(predictions[:2], candidates[:2])).all()


def test_every_file_is_a_criterion_and_those_that_count_make_the_score(monkeypatch):
    files = {info.name for info in pkgutil.iter_modules(criteria.__path__)} - {"base"}
    assert set(criteria.CRITERIA) == files
    truth = np.repeat(np.arange(3), 4)
    mine, other = (criteria.Candidate(name, np.eye(3)[[truth, truth]]) for name in "ab")
    pool = criteria.Pool([mine, other], truth)
    before = criteria.scores(mine, pool)
    assert before == {"score": 1, "clusters": pytest.approx(1), "crowd": 1, "seeds": 1}
    told = criteria.Criterion("classes", lambda mine, pool: len(np.unique(mine.predictions)))
    halved = criteria.Criterion("half", lambda mine, pool: 0.5, counts=True)
    for name, criterion in (("told", told), ("halved", halved)):
        monkeypatch.setitem(criteria.CRITERIA, name, criterion)
    after = criteria.scores(mine, pool)
    assert (after["told"], after["halved"]) == (3, 0.5) and math.isclose(after["score"], before["score"] / 2)
