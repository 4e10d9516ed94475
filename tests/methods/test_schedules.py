"""The schedule of the learning rate against its formula."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from gsda_tf.methods import schedules


@given(st.floats(0, 1), st.floats(1e-4, 1), st.floats(0, 20))
def test_the_learning_rate_is_that_of_dann(progress, initial, decay):
    rate = schedules.learning_rate(initial, decay, tf.constant(progress, tf.float32))
    np.testing.assert_allclose(rate, initial / (1 + decay * progress) ** 0.75, rtol=1e-5)
