"""`gsda_tf.AdaptedClassifier`: scikit-learn's conventions over `adapt`."""

from __future__ import annotations

import copy
import gc
import os
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from gsda_tf import AdaptedClassifier, UserError


def _features(labels: np.ndarray, shift: float) -> np.ndarray:
    """Two clusters that no classifier takes for each other."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(len(labels), 4)) * 0.05 + np.eye(4)[labels] * 5 + shift).astype(np.float64)


@pytest.fixture(scope="module")
def fitted():
    labels = np.arange(24) % 2
    estimator = AdaptedClassifier("source_only", steps=40, settings={"bottleneck_units": 8})
    return estimator.fit(_features(labels, 0), np.array(["yes", "no"])[labels], _features(labels, 0.1)), labels


def test_labels_come_back_as_they_were_given(fitted):
    estimator, labels = fitted
    np.testing.assert_array_equal(estimator.classes_, ["no", "yes"])
    np.testing.assert_array_equal(estimator.predict(_features(labels, 0)), np.array(["yes", "no"])[labels])
    assert estimator.score(_features(labels, 0), np.array(["yes", "no"])[labels]) == 1.0


def test_probabilities_are_the_runs_in_the_order_of_the_classes(fitted):
    estimator, labels = fitted
    values = _features(labels, 0).astype(np.float32)
    assert estimator.run_.class_names == ("no", "yes")
    said = estimator.run_.predict(values)["probabilities"]
    np.testing.assert_array_equal(
        estimator.predict_proba(values), said[:, [estimator.run_.class_names.index(name) for name in ("no", "yes")]]
    )


def test_what_is_pickled_needs_no_folder(fitted):
    estimator, labels = fitted
    values, content = _features(labels, 0.1), pickle.dumps(estimator)
    other = pickle.loads(content)
    assert other.run_.workdir != estimator.run_.workdir and other.get_params() == estimator.get_params()
    np.testing.assert_array_equal(other.predict_proba(values), estimator.predict_proba(values))
    np.testing.assert_array_equal(copy.deepcopy(other).predict(values), estimator.predict(values))
    folder = other.run_.workdir
    del other
    gc.collect()
    assert not os.path.exists(folder)


def test_searches_of_scikit_learn_run_over_it():
    labels = np.arange(24) % 2
    source, target = _features(labels, 0), _features(labels, 0.1)[:20]
    search = GridSearchCV(AdaptedClassifier("source_only", settings={"bottleneck_units": 8}), {"steps": [1, 40]}, cv=2)
    search.fit(source, np.array([-1, 1])[labels], X_target=target)
    assert (
        search.best_params_ == {"steps": 40} and search.predict(source).tolist() == np.array([-1, 1])[labels].tolist()
    )


@pytest.mark.parametrize(
    ("source", "labels", "target", "said"),
    [
        (np.ones((4, 2)), [0, 1, 0, np.nan], np.ones((4, 2)), "Input y contains NaN"),
        (np.ones((4, 2)), [0.5, 1, 0, 1], np.ones((4, 2)), "Unknown label type: continuous"),
        (np.ones((4, 2)), ["a", None, "a", "b"], np.ones((4, 2)), "Input y contains None"),
        (np.ones((4, 2)), [0, 1, 0, 1], np.ones((4, 3)), "X has 3 features, but AdaptedClassifier is expecting 2"),
        (np.ones((4, 2)), [0, 1, 0], np.ones((4, 2)), "inconsistent numbers of samples"),
        (np.full((4, 2), np.nan), [0, 1, 0, 1], np.ones((4, 2)), "Input X contains NaN"),
    ],
)
def test_scikit_learn_checks_what_is_handed_in(source, labels, target, said):
    with pytest.raises(ValueError, match=said):
        AdaptedClassifier().fit(source, labels, target)


def test_the_target_is_asked_for():
    with pytest.raises(UserError, match="answers with the classes of y: unknown=reject is for"):
        AdaptedClassifier(settings={"unknown": "reject"}).fit(np.zeros((4, 2)), [0, 1, 0, 1], np.zeros((4, 2)))
    with pytest.raises(UserError, match=r"fit\(Xs, ys, Xt\)"):
        AdaptedClassifier().fit(np.zeros([4, 2]), [0, 0, 1, 1])


def test_before_fit_it_says_so():
    with pytest.raises(NotFittedError):
        AdaptedClassifier().predict(np.zeros([1, 2]))


def test_parameters_are_scikit_learns():
    estimator = AdaptedClassifier("mcc", steps=3, settings={"mcc_temperature": 3.0})
    assert clone(estimator).get_params() == estimator.get_params()
    for check in (
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
    ):
        check("AdaptedClassifier", AdaptedClassifier())
    pipeline = make_pipeline(StandardScaler(), AdaptedClassifier())
    assert pipeline.set_params(adaptedclassifier__steps=7)[-1].steps == 7
