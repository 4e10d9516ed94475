"""Ramps against their formula, at the ends and between."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from gsda_tf import losses
from tests import rounding
from tests.methods.peers import NUMBERS, agree


@given(st.floats(0, 1), st.floats(0.01, 20), st.floats(0.1, 100))
def test_a_weight_rises_from_nothing_to_what_it_is(progress, final, ramp):
    weight = losses.ramp_up(final, ramp, tf.constant(progress, tf.float32))
    np.testing.assert_allclose(weight, final * math.tanh(ramp * progress / 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_without_a_ramp_a_weight_is_constant(progress):
    assert losses.ramp_up(0.25, 0.0, progress) == 0.25


@pytest.mark.parametrize("final, key", [(1.0, "grl/cdan_author"), (0.1, "grl/tllib_mdd")])
def test_strengths_of_gradient_reversal_against_peers(final, key):
    """Theirs rises over 10,000 steps, whatever the length of the run."""
    with rounding.in_double():
        ours = [rounding.double("losses").ramp_up(final, 10.0, step / 10_000) for step in NUMBERS["grl/steps"]]
    agree(ours, NUMBERS[key])
