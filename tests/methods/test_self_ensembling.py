"""Self-ensembling against its authors' numbers, in its limits, and how the teacher follows."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.methods.self_ensembling import class_balance
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def extractor():
    return keras.Sequential([keras.Input([4]), keras.layers.Dense(peers.D), keras.layers.BatchNormalization()])


def method(**options):
    return peers.method("self_ensembling", "SelfEnsembling", extractor=extractor, **options)


def agreement(z_t, **options):
    says = tf.nn.softmax(peers.given("teacher_t")[0])
    return method(**options).agreement(peers.batch(z_t=z_t), says)


@pytest.mark.parametrize("key, options", [
    ("sen/author_var_thr0.6", {"teacher_threshold": 0.6}),
    ("sen/author_var_thr0.6_no_balance", {"teacher_threshold": 0.6, "balance_weight": 0.0}),
    ("sen/author_var_default_thr", {}),  # keeps no sample: 0
])  # fmt: skip
def test_against_the_authors(key, options):
    """Their numbers are of U, before the weight of 3."""
    peers.compare(key, lambda z_t: agreement(z_t, **options), value=3.0)


def test_the_balance_against_the_authors():
    balance = double("methods.self_ensembling").class_balance
    peers.compare("sen/author_balance_bce_sum", lambda z_t: balance(tf.reduce_mean(tf.nn.softmax(z_t), axis=0)))


def test_agreement_with_oneself_is_nothing():
    teacher = peers.given("teacher_t")[0]
    value, (gradient,) = peers.gradients(
        lambda z: agreement(z, teacher_threshold=0.6, balance_weight=0.0), teacher
    )  # fmt: skip
    assert value == 0 and not gradient.any()


def test_a_teacher_that_is_never_sure_is_not_heard():
    value, (gradient,) = peers.gradients(lambda z: agreement(z, teacher_threshold=1.0), *peers.given("z_t"))
    assert value == 0 and not gradient.any()


@pytest.mark.parametrize("classes", [2, 5])
def test_the_balance_is_least_for_the_uniform_prediction(classes):
    balance = double("methods.self_ensembling").class_balance
    uniform, share = np.full(classes, 1 / classes), 1 / classes
    least = -classes * (share * np.log(share) + (1 - share) * np.log(1 - share))
    np.testing.assert_allclose(balance(tf.constant(uniform)), least, atol=1e-5)  # 1e-6 in each logarithm
    for p in np.random.default_rng(0).dirichlet(np.ones(classes), size=5):
        assert balance(tf.constant(p)) > balance(tf.constant(uniform))


@pytest.mark.parametrize("p", [[1.0, 0.0, 0.0], [1.0]])
def test_the_balance_of_one_class_is_finite(p):
    value, (gradient,) = peers.gradients(class_balance, tf.constant(p))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_the_teacher_follows_by_a_hundredth():
    """Its trained weights alone. The student has moved before; the teacher gets no gradient, and is deployed."""
    made = method()
    student, classifier = made.problem.extractor, made.classifier
    networks = ((made.teacher, student), (made.teacher_classifier, classifier))
    tf_variable(made.teacher.layers[0].kernel).assign(tf_variable(student.layers[0].kernel))
    start = [np.asarray(v) for mine, _ in networks for v in mine.trainable_variables]
    for mine, his in networks:
        for a, b in zip(mine.trainable_variables, his.trainable_variables):
            np.testing.assert_array_equal(a, b)
    order = []

    def descend(loss, b, *names):
        order.append(names)

    def update():
        order.append("update")
        for _, his in networks:
            for variable in his.trainable_variables:
                tf_variable(variable).assign(tf_variable(variable) + 1.0)

    def assign(variables, values):
        order.append("assign")
        for variable, value in zip(variables, values):
            variable.assign(value)

    again = {"target_again": tf.random.stateless_normal([3, 4], [0, 0], dtype=tf.float64)}
    made.step(types.SimpleNamespace(images=again, forward=lambda: "b", descend=descend, update=update, assign=assign))
    assert order == [("extractor", "classifier"), "update", "assign"]
    now = [v for mine, _ in networks for v in mine.trainable_variables]
    assert len(now) == 6
    for before, after in zip(start, now):
        np.testing.assert_allclose(after, before + 0.01, rtol=1e-9)
    assert made.deployed(student) == (made.teacher, made.teacher_classifier)
