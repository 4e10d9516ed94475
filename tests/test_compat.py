"""What differs between the generations of Keras, and that the caller's state is left as it was."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import compat
from tests import state


def _policy() -> str:
    """The one that layers without a dtype compute in."""
    return keras.layers.Dense(1).dtype_policy.name


class TestPrecisionPolicy:
    def test_layers_inside_have_it(self):
        before = _policy()
        with compat.precision_policy("mixed_bfloat16"):
            layer = keras.layers.Dense(1)
            layer.build([None, 2])
        assert layer.compute_dtype == "bfloat16" and compat.tf_variable(layer.kernel).dtype == tf.float32
        assert _policy() == before

    def test_it_is_put_back_after_an_error(self):
        before = _policy()
        with pytest.raises(ZeroDivisionError), compat.precision_policy("float16"):
            raise ZeroDivisionError
        assert _policy() == before

    @pytest.mark.skipif(compat.KERAS_3, reason="Keras 3 sets a policy by itself as soon as a layer is made")
    def test_a_policy_that_follows_floatx_goes_on_following(self):
        assert keras.backend.floatx() == "float32"
        keras.backend.set_floatx("float64")
        try:
            with compat.precision_policy("float32"):
                assert _policy() == "float32"
            assert _policy() == "float64"
        finally:
            keras.backend.set_floatx("float32")
        assert _policy() == "float32"

    def test_one_that_was_set_comes_back(self):
        with compat.precision_policy("mixed_float16"):
            with compat.precision_policy("float32"):
                assert _policy() == "float32"
            assert _policy() == "mixed_float16"


class TestSeeded:
    @staticmethod
    def _weights(seed):
        model = compat.seeded(seed, lambda: keras.Sequential([keras.Input([3]), keras.layers.Dense(2)]))
        return model.get_weights()[0]

    def test_weights_follow_from_the_seed(self):
        one, same, other = self._weights(1), self._weights(1), self._weights(2)
        np.testing.assert_array_equal(one, same)
        assert (one != other).all()

    def test_seeds_of_the_caller_change_nothing(self):
        one = self._weights(1)
        random.random()
        keras.layers.Dense(2).build([None, 3])
        np.testing.assert_array_equal(self._weights(1), one)

    def test_generators_of_the_caller_go_on(self):
        states = random.getstate(), np.random.get_state()

        def drawn() -> None:
            random.random(), np.random.random()

        compat.seeded(1, drawn)
        assert random.getstate() == states[0]
        assert all(np.array_equal(*pair) for pair in zip(np.random.get_state(), states[1]))

    def test_what_tensorflow_draws_next_is_what_it_would_have_drawn(self):
        def drawn(between) -> list[float]:
            tf.random.set_seed(3)
            try:
                return [float(tf.random.normal([])), between(), float(tf.random.normal([]))]
            finally:
                tf.random.set_seed(state.TENSORFLOW_SEED)

        assert drawn(lambda: None) == drawn(lambda: compat.seeded(1, lambda: None))

    def test_errors_come_through_and_generators_stay(self):
        state = random.getstate()

        def fails() -> None:
            random.random()
            raise ValueError("unknown")

        with pytest.raises(ValueError, match="unknown"):
            compat.seeded(1, fails)
        assert random.getstate() == state
