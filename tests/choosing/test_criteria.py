"""Criteria against slow references, and what they are blind to."""

import numpy as np
import pytest

from gsda_tf.choosing import criteria
from gsda_tf.choosing.criteria import Candidate, agreements, cluster_information

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
    one = Candidate("one", np.eye(4)[[[0, 1, 2, 3], [0, 1, 2, 0], [0, 1, 1, 0]]])
    other = Candidate("other", np.eye(4)[[[0, 0, 2, 3]]] * 0.9)
    found = agreements([one, other])  # all together say 0, 1, 2, 3
    assert found["one"] == {"crowd": (1 + 0.75 + 0.5) / 3, "seeds": pytest.approx((0.75 + 0.5 + 0.75) / 3)}
    assert found["other"]["crowd"] == 0.75 and np.isnan(found["other"]["seeds"])


def test_the_score_is_the_product_of_clusters_and_crowd():
    truth = np.repeat(np.arange(3), 4)
    half = np.where(np.arange(12) % 2, truth, (truth + 1) % 3)
    found = criteria.scores(
        [criteria.Candidate(name, np.eye(3)[[said, truth]]) for name, said in (("a", truth), ("b", half))], truth
    )
    best = {"score": pytest.approx(1), "clusters": pytest.approx(1), "crowd": 1, "seeds": 1}
    assert {name: found["a"][name] for name in best} == best
    assert {*criteria.CRITERIA, "score"} == found["b"].keys()
    assert (found["b"]["crowd"], found["b"]["seeds"]) == (0.75, 0.5)
    assert found["b"]["score"] == pytest.approx(found["b"]["clusters"] * 0.75)
