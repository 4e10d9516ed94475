"""Class shares without labels, and answers that follow from them."""

import numpy as np
import pytest

from gsda_tf.errors import DataError, UserError
from gsda_tf.evaluation.shares import correction, estimate, read_shares, told
from tests import rounding
from tests.methods.build import experiment, task


def test_the_shares_of_a_classifier_that_knows_its_odds_are_found():
    """Two classes whose one feature is +1 or -1 with probability 0.9 and 0.1: exact posteriors under equal shares."""
    truth = np.array([0.8, 0.2])
    right = np.array([[0.9, 0.1], [0.1, 0.9]])  # of feature f, the odds of class k
    seen = right @ truth  # the share of each feature
    rows = np.repeat(right, np.round(1000 * seen).astype(int), axis=0)
    np.testing.assert_allclose(estimate(rows), truth, atol=1e-3)
    np.testing.assert_allclose(estimate(right), [0.5, 0.5])
    corrected = np.exp(np.log(right) + correction(truth))
    np.testing.assert_allclose(corrected / corrected.sum(1, keepdims=True), right * truth / (right @ truth)[:, None],
                               rtol=1e-5)  # fmt: skip
    assert np.isfinite(correction(np.array([1.0, 0.0]))).all() and estimate(np.array([[1.0, 0.0]])).tolist() == [1, 0]


def test_shares_of_a_file(tmp_path):
    path = tmp_path / "shares.csv"
    path.write_text("mug,3\n\npen, 1\n")
    assert read_shares(str(path), ("bike", "mug", "pen")).tolist() == [0, 0.75, 0.25]
    for text, said in (("lamp,1", "has the class 'lamp'"), ("mug,-1", "has shares -1"), ("mug,0", "has shares"),
                       ("mug,x", "could not convert"), ("mug", "not enough values"), ("mug,nan", "has shares"),
                       ("mug,1\nmug,2", "names a class twice")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(UserError, match=said):
            read_shares(str(path), ("bike", "mug", "pen"))
    with pytest.raises(UserError, match="No such file"):
        read_shares(str(tmp_path / "none"), ("bike",))


def test_shares_of_a_source_that_is_not_there():
    assert told("uniform", np.zeros(0, int), "ab") is told("estimate", np.zeros(0, int), "ab") is None
    with pytest.raises(DataError, match="--target_prior=source: there is no source here"):
        told("source", np.zeros(0, int), "ab")


@pytest.mark.parametrize("prior", ["source", "estimate", "file"])
def test_the_deployed_classifier_answers_by_them_and_the_trained_one_stays(prior, tmp_path):
    path = tmp_path / "shares.csv"
    path.write_text("p,1\nq,2\nr,3\ns,4\n")
    data = task(source=13)  # one of class p more than of the others
    built = experiment("source_only", data, target_prior=str(path) if prior == "file" else prior)
    before, weights = built.inference(data.target).logits, built.method.classifier.get_weights()
    shares = {"file": np.array([1, 2, 3, 4]) / 10, "source": np.array([4, 3, 3, 3]) / 13}.get(prior)
    shares = built.target_shares(before) if shares is None else shares
    for _ in range(2):  # a correction does not start from the one before
        built.correct()
        assert rounding.distance(built.inference(data.target).logits, before + correction(shares)) < rounding.FORWARD
    assert all(np.array_equal(a, b) for a, b in zip(weights, built.method.classifier.get_weights()))
    assert "corrections" in built.deployed_state() and "shares" not in experiment("source_only", data).state()
