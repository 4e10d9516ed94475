import numpy as np
from sklearn import metrics

from gsda_tf.evaluation import accuracy


def _cases(seed=0, n=200, r=5):
    rng = np.random.default_rng(seed)
    return rng.integers(0, r, n), rng.integers(0, r, n)


def test_against_scikit_learn():
    predictions, labels = _cases()
    assert np.isclose(accuracy.accuracy(predictions, labels), metrics.accuracy_score(labels, predictions))
    np.testing.assert_allclose(
        accuracy.per_class_accuracy(predictions, labels, 5), metrics.recall_score(labels, predictions, average=None)
    )
    assert np.isclose(
        accuracy.mean_class_accuracy(predictions, labels), metrics.balanced_accuracy_score(labels, predictions)
    )
    np.testing.assert_array_equal(
        accuracy.confusion_matrix(predictions, labels, 5), metrics.confusion_matrix(labels, predictions)
    )


def test_a_class_without_images_is_not_scored():
    labels, predictions = np.array([0, 0, 3]), np.array([0, 1, 3])
    assert accuracy.mean_class_accuracy(predictions, labels) == 0.75
    assert np.isnan(accuracy.per_class_accuracy(predictions, labels, 4)[1:3]).all()


def test_confident_mistakes_are_wrong_labelled_and_sorted():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.05, 0.95], [0.4, 0.6], [0.99, 0.01]])
    labels = np.array([1, 0, 0, 1, -1])
    assert accuracy.confident_mistakes(probabilities, labels, 9).tolist() == [2, 0, 1]
    assert accuracy.confident_mistakes(probabilities, labels, 2).tolist() == [2, 0]
