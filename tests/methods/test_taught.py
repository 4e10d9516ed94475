"""Labels of the target that were handed over: their cross-entropy is part of any method's loss."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import methods
from gsda_tf.errors import UserError
from gsda_tf.methods import spl
from gsda_tf.methods.closed_form import logistic_regression
from tests.methods.build import batch, experiment, task

TAUGHT = np.array([2, -1, 0, -1, -1, -1, 1, -1, -1, -1, -1, 3], np.int32)


def taught(data=None):
    data = data or task()
    unlabelled = np.full_like(data.target.labels, -1)
    return dataclasses.replace(data, target=dataclasses.replace(data.target, labels=unlabelled, taught=TAUGHT))


@pytest.mark.parametrize("name", ["source_only", "mcd", "adda"])
def test_it_is_the_mean_over_the_labelled_images_of_the_batch(name):
    built, fed = experiment(name, taught(), target_label_weight=2.0), batch(images=("source", "target"))
    images = tf.concat([fed["source_images"], fed["target_images"]], axis=0)
    logits = built.method.classifier(built.extractor(images, training=True)).numpy()[-6:].astype(np.float64)
    rows = np.flatnonzero(TAUGHT[:6] >= 0)
    right = logits[rows, TAUGHT[rows]] - np.log(np.exp(logits[rows]).sum(axis=1))
    metrics = built.training_step(fed, tf.constant(0, tf.int64), built.method.phases[0])
    assert float(metrics["loss/target_labels"]) == pytest.approx(-2 * right.mean(), rel=1e-4)
    assert "target_labels" not in methods.term_names() and not any("target_labels" in key for key in built.state())


def test_a_batch_with_none_of_them_has_no_such_loss():
    built = experiment("source_only", taught())
    fed = {**batch(images=("source", "target")), "target_indices": tf.constant([1, 3, 4, 5, 7, 8], tf.int64)}
    assert float(built.training_step(fed, tf.constant(0, tf.int64))["loss/target_labels"]) == 0


def test_methods_in_closed_form_take_them():
    """Classes of the target lie where others of the source do; its labels say so."""
    rng = np.random.default_rng(0)
    centres, labels = 3 * np.eye(4, 6), np.arange(40) % 4
    source = (centres[labels] + 0.1 * rng.normal(size=(40, 6))).astype(np.float32)
    target = (centres[(labels + 1) % 4] + 0.1 * rng.normal(size=(40, 6))).astype(np.float32)
    given = np.where(np.arange(40) < 20, labels, -1)
    answer = spl.adapt(source, labels, target, 3, 3, "plain", "off", given).answer
    np.testing.assert_array_equal(answer.labels[:20], given[:20])


def test_few_labels_weigh_as_much_as_the_source():
    rng = np.random.default_rng(1)
    rows, labels = rng.normal(size=(6, 3)), np.arange(6) % 3
    # The scale by which the penalty is set is that of the rows: here the same.
    rows /= np.sqrt((rows**2).mean(axis=1, keepdims=True))
    weighed = logistic_regression(rows, labels, 3, np.array([1.0, 1, 1, 1, 1, 3]))
    again = [0, 1, 2, 3, 4, 5, 5, 5]
    repeated = logistic_regression(rows[again], labels[again], 3)
    np.testing.assert_allclose(weighed[0], repeated[0], atol=1e-3)
    for name, options in (("tca", {"tca_units": 3}), ("gfk", {"gfk_units": 2})):
        kernels = []
        for data in (task(), taught()):
            built = experiment(name, data, **options)
            built.fit()
            kernels.append(built.method.classifier.trainable_variables[0].numpy())
        assert np.abs(kernels[0] - kernels[1]).max() > 1e-3
    with pytest.raises(UserError, match="takes no labels of the target"):
        experiment("tca", taught(), mapped_classifier="nearest").fit()
