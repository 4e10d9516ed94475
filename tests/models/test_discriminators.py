"""Banks: K networks that do not know of each other."""

import numpy as np
import tensorflow as tf

from gsda_tf.methods.gsda.discriminators import Discriminators
from gsda_tf.methods.gsda.hierarchy import build_hierarchy
from gsda_tf.models.discriminators import DiscriminatorBank
from tests import rounding


def _features(n=4, d=6):
    return tf.constant(np.random.default_rng(0).normal(size=(n, d)), tf.float32)


def test_each_is_a_network_of_its_own():
    bank, x = DiscriminatorBank(3, (5, 4), 6, seed=1), _features()
    logits = bank(x).numpy()
    for k in range(3):
        y = x.numpy()
        for i in range(3):
            y = y @ np.asarray(bank.kernels[i])[k] + np.asarray(bank.biases[i])[k]
            y = np.maximum(y, 0) if i < 2 else y
        assert rounding.distance(logits[k], y[:, 0]) < rounding.FORWARD


def test_a_copy_for_each_is_the_same_as_one_for_all():
    bank, x = DiscriminatorBank(3, (5,), 6), _features()
    assert rounding.distance(bank(tf.stack([x] * 3)), bank(x)) < rounding.FORWARD


def test_weights_differ_between_networks_levels_and_seeds_and_repeat():
    hierarchy = build_hierarchy(4, (2,), ("domain", "group", "class"), 0)
    x = _features()
    one, again, other = (Discriminators(hierarchy, (5,), 6, seed)(x).numpy() for seed in (0, 0, 1))
    assert one.shape == (7, 4)
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)
    assert len(np.unique(one.round(5), axis=0)) == 7


def test_initial_weights_keep_the_scale_of_what_goes_through():
    bank = DiscriminatorBank(20, (64, 64), 64, seed=0)
    x = tf.constant(np.random.default_rng(0).normal(size=(200, 64)), tf.float32)
    hidden = x
    for kernel in bank.kernels[:2]:
        hidden = tf.nn.relu(hidden @ tf.convert_to_tensor(kernel))
        assert 0.7 < float(tf.reduce_mean(tf.square(hidden))) < 1.4  # He: the mean square stays about 1
