"""The optimizer against what its docstring says, number by number in float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from gsda_tf.methods.optimizer import MomentumSGD, learning_rate
from tests import rounding

_SHAPES = {
    "conv/kernel": (3, 3, 2, 4),
    "bias": (4,),
    "norm/gamma": (4,),
    "norm/beta": (4,),
    "dense/kernel": (5, 3),
}
_MOMENTUM, _DECAY, _SHARE = 0.9, 0.01, 0.1


def _values(seed: int, dtype=np.float64) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in _SHAPES.values()]


def _reference(values, velocities, gradients, learning_rate) -> None:
    """v <- mu v + d;  w <- w - lr (d + mu v), with d = g + wd w for kernels and d = g for all else; in place."""
    for name, w, v, g in zip(_SHAPES, values, velocities, gradients):
        for i in np.ndindex(w.shape):
            d = g[i] + (_DECAY * w[i] if name.endswith("kernel") else 0.0)
            v[i] = _MOMENTUM * v[i] + d
            w[i] -= learning_rate * _SHARE * (d + _MOMENTUM * v[i])


def _optimizer(dtype=tf.float64):
    variables = [tf.Variable(tf.cast(v, dtype), name=name) for name, v in zip(_SHAPES, _values(0))]
    optimizer = MomentumSGD(variables, _MOMENTUM, _DECAY, _SHARE)
    return variables, optimizer


def _numbers(variables) -> list[np.ndarray]:
    return [variable.numpy() for variable in variables]


def test_ten_steps_are_those_of_the_formula():
    variables, optimizer = _optimizer()
    values, velocities = _values(0), [np.zeros(shape) for shape in _SHAPES.values()]
    for step in range(10):
        gradients, rate = _values(100 + step), 0.5 / (1 + step)
        _reference(values, velocities, gradients, rate)
        optimizer.apply([tf.constant(g) for g in gradients], tf.constant(rate, tf.float64))
    assert rounding.distance(_numbers(variables), values) < rounding.STEP
    assert rounding.distance(_numbers(optimizer.velocities), velocities) < rounding.STEP


def test_it_is_nesterovs_form_of_pytorchs_sgd():
    """Two steps of w = 1 with g = 1, mu = 0.5, lr = 1, by hand: v = 1, w = 1 - 1.5; v = 1.5, w = -0.5 - 1.75."""
    variable = tf.Variable([1.0], name="bias")
    optimizer = MomentumSGD([variable], momentum=0.5, weight_decay=9.0)
    found = []
    for _ in range(2):
        optimizer.apply([tf.constant([1.0])], tf.constant(1.0))
        found.append(float(variable[0]))
    assert found == [-0.5, -2.25]


def test_a_missing_gradient_is_zero_and_a_kernel_decays_all_the_same():
    variables, optimizer = _optimizer()
    values, velocities = _values(0), [np.zeros(shape) for shape in _SHAPES.values()]
    _reference(values, velocities, [np.zeros(shape) for shape in _SHAPES.values()], 1.0)
    optimizer.apply([None] * len(variables), tf.constant(1.0, tf.float64))
    assert rounding.distance(_numbers(variables), values) < rounding.STEP
    for name, variable, before in zip(_SHAPES, _numbers(variables), _values(0)):
        assert np.array_equal(variable, before) == (not name.endswith("kernel")), name


@pytest.mark.parametrize("traced", [False, True])
def test_a_skipped_update_leaves_variables_and_velocities_alone(traced):
    variables, optimizer = _optimizer(tf.float32)
    apply = tf.function(optimizer.apply) if traced else optimizer.apply
    rate, gradients = tf.constant(0.1), [tf.constant(g, tf.float32) for g in _values(1)]
    apply(gradients, rate, tf.constant(True))
    before = _numbers([*variables, *optimizer.velocities])
    bad = [g * np.inf for g in gradients]
    apply(bad, rate, tf.constant(False))
    for variable, old in zip([*variables, *optimizer.velocities], before):
        np.testing.assert_array_equal(variable.numpy(), old)
    apply(gradients, rate, tf.constant(True))
    assert all(not np.array_equal(v.numpy(), old) for v, old in zip(variables, before))


def test_the_rate_is_a_share_of_the_learning_rate():
    moved = []
    for share in (1.0, 0.25):
        variable = tf.Variable([0.0], name="bias")
        MomentumSGD([variable], 0.9, 0.0, share).apply([tf.constant([1.0])], tf.constant(0.5))
        moved.append(float(variable[0]))
    assert moved[0] == 4 * moved[1] != 0


@given(st.floats(0, 1), st.floats(1e-4, 1), st.floats(0, 20))
def test_the_learning_rate_is_that_of_dann(progress, initial, decay):
    rate = learning_rate(initial, decay, tf.constant(progress, tf.float32))
    np.testing.assert_allclose(rate, initial / (1 + decay * progress) ** 0.75, rtol=1e-5)
