"""DAN: its loss is that of `losses`, with the source's cross-entropy."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.errors import UserError
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


@pytest.mark.parametrize("estimate, key", [("quadratic", "dan/xlearn_full"), ("linear", "dan/xlearn_linear")])
def test_against_peers(estimate, key):
    dan = peers.method("dan", "DAN", mmd_weight=0.3, mmd_estimate=estimate)

    def loss(f_s, f_t):
        b = peers.batch(f_s, f_t)
        return dan.loss(b) - dan.classification(b)

    peers.compare(key, loss, value=0.3)


def test_the_source_is_classified():
    b = peers.batch()
    expected = -np.log(peers.softmax(b.source_logits)[np.arange(8), peers.LABELS]).mean()
    np.testing.assert_allclose(peers.method("dan", "DAN", mmd_weight=0.0).loss(b), expected, rtol=1e-12)


def test_neighbours_need_batches_of_one_size():
    f_t, z_t = peers.given("f_t", "z_t")
    with pytest.raises(UserError, match="equal"):
        peers.method("dan", "DAN", mmd_estimate="linear").loss(peers.batch(f_t=f_t[:5], z_t=z_t[:5]))


def test_quadratic_takes_batches_of_two_sizes():
    f_t, z_t = peers.given("f_t", "z_t")
    b = peers.batch(f_t=f_t[:5], z_t=z_t[:5])
    dan, mmd = peers.method("dan", "DAN"), double("losses")
    value = mmd.mmd_quadratic(mmd.gaussian_kernels(mmd.joined_distances(tf.concat([b.source, b.target], 0))), 8)
    np.testing.assert_allclose(dan.loss(b) - dan.classification(b), value, rtol=1e-9)
