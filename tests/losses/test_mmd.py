"""Maximum mean discrepancy against its peers' numbers, a slow reference, and in its limits."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import losses
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


def kernel(features, **options):
    module = double("losses")
    return module.gaussian_kernels(module.joined_distances(tf.convert_to_tensor(features)), **options)


def full(source, target, **options):
    return double("losses").mmd_quadratic(kernel(tf.concat([source, target], 0), **options), len(source))


def neighbours(source, target, **options):
    return double("losses").mmd_linear(kernel(tf.concat([source, target], 0), **options), len(source))


# TLlib's bandwidth is the mean over all n^2 pairs of samples, ours over the n^2 - n of different ones.
AS_TLLIB = {"scales": tuple(scale * 15 / 16 for scale in losses.MMD_SCALES)}
TLLIB_CONSTANT = 2 / (8 - 1)


def test_the_kernel_against_a_peer():
    ours = kernel(peers.both("f"))
    peers.agree(np.triu(ours), peers.NUMBERS["dan/xlearn_kernel"])
    peers.agree(ours, tf.transpose(ours))


def test_estimates_against_peers():
    peers.compare("dan/xlearn_full", lambda f_s, f_t: full(f_s, f_t))
    peers.compare("dan/xlearn_linear", lambda f_s, f_t: neighbours(f_s, f_t))
    peers.compare("dan/tllib_full", lambda f_s, f_t: full(f_s, f_t, **AS_TLLIB), constant=-TLLIB_CONSTANT)
    peers.compare("dan/tllib_linear", lambda f_s, f_t: neighbours(f_s, f_t, **AS_TLLIB), constant=-TLLIB_CONSTANT)


def reference(source, target):
    """Over all pairs, one after another."""
    joined = [*source, *target]
    n = len(joined)
    bandwidth = sum(((a - b) ** 2).sum() for a in joined for b in joined) / (n * n - n)
    k = lambda a, b: sum(np.exp(-((a - b) ** 2).sum() / (scale * bandwidth)) for scale in (1 / 4, 1 / 2, 1, 2, 4))  # noqa: E731
    pairs = lambda x: np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])  # noqa: E731
    return pairs(source) + pairs(target) - 2 * np.mean([k(a, b) for a in source for b in target])


def test_batches_of_two_sizes_against_a_slow_reference():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(3, 4)), rng.normal(size=(5, 4)) + 0.5
    np.testing.assert_allclose(full(source, target), reference(source, target), rtol=1e-12)


def test_identical_batches():
    features, n = peers.given("f_s")[0], 8
    # Joining a batch with itself leaves distances, but not their mean: (2n)^2 - 2n pairs in place of n^2 - n.
    ratio = 4 * (n * n - n) / ((2 * n) ** 2 - 2 * n)
    k = np.asarray(kernel(features, scales=tuple(scale * ratio for scale in losses.MMD_SCALES)))
    mean = (k.sum() - np.trace(k)) / (n * n - n)
    np.testing.assert_allclose(full(features, features), -2 / n * (5 - mean), rtol=1e-9)
    assert full(features, features) < 0
    assert abs(neighbours(features, features)) < 1e-12


@pytest.mark.parametrize("estimate", [full, neighbours])
def test_scale_place_and_rotation_do_not_matter(estimate):
    source, target = (np.asarray(x) for x in peers.given("f_s", "f_t"))
    turn = peers.rotation(peers.D)
    value = estimate(source, target)
    assert abs(value) > 1e-3
    for change in (lambda x: 7.5 * x, lambda x: -x, lambda x: x + 0.3, lambda x: x @ turn):
        np.testing.assert_allclose(estimate(change(source), change(target)), value, rtol=1e-9)
    np.testing.assert_allclose(estimate(target, source), value, rtol=1e-12)


def test_the_order_of_samples_does_not_matter():
    source, target = (np.asarray(x) for x in peers.given("f_s", "f_t"))
    rng = np.random.default_rng(0)
    shuffled = full(source[rng.permutation(8)], target[rng.permutation(8)])
    np.testing.assert_allclose(shuffled, full(source, target), rtol=1e-9)


def test_the_gradient_moves_no_mean_but_scales():
    """A shift of all samples changes nothing; nor does a scale, but the gradient stops at the bandwidth."""
    _, (gradient,) = peers.gradients(lambda f: full(f[:8], f[8:]), peers.both("f"))
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-14)
    assert abs(np.sum(gradient * peers.both("f"))) > 1e-9  # if it did not stop there: 0 but for rounding, 1e-15


def test_the_bandwidth_carries_no_gradient():
    features = np.asarray(peers.both("f"))
    distances = ((features[:, None] - features) ** 2).sum(-1)
    bandwidth = distances.sum() / (16 * 15)

    def fixed(f):
        d = double("losses").joined_distances(f)
        return double("losses").mmd_quadratic(tf.add_n([tf.exp(-d / (s * bandwidth)) for s in losses.MMD_SCALES]), 8)

    peers.differentiate(fixed, features)
    peers.agree(peers.gradients(lambda f: full(f[:8], f[8:]), features)[1][0], peers.gradients(fixed, features)[1][0])


@pytest.mark.parametrize("estimate", [losses.mmd_quadratic, losses.mmd_linear])
@pytest.mark.parametrize("features", [np.ones([4, 3]), np.eye(2), np.full([4, 3], 1e4)])
def test_equal_samples_and_domains_of_one_are_no_nan(estimate, features):
    compute = lambda f: estimate(losses.gaussian_kernels(losses.joined_distances(f)), len(features) // 2)  # noqa: E731
    value, (gradient,) = peers.gradients(compute, tf.constant(features, tf.float32))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_distances_are_never_negative():
    """In float32, ||a||^2 + ||b||^2 - 2 a b of samples that are far out and close together loses all its digits."""
    features = 1000 + 0.01 * np.random.default_rng(0).normal(size=(20, 8))
    distances = losses.joined_distances(tf.constant(features, tf.float32)).numpy()
    assert distances.min() >= 0 and np.array_equal(np.diag(distances), np.zeros(20))
    assert losses.gaussian_kernels(tf.constant(distances)).numpy().max() <= 5
