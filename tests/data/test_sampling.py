import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gsda_tf.data.sampling import BalancedSampler, permute, uniform_sampler

class_sizes = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(sum)


def _labels(sizes, seed=0):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(seed).permutation(labels)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 700), st.integers(0, 2**63 - 1))
def test_permute_is_a_permutation(size, key):
    np.testing.assert_array_equal(np.sort(permute(np.arange(size), size, key)), np.arange(size))


def test_permutations_of_different_keys_look_independent():
    size = 60
    images = np.stack([permute(np.arange(size), size, key) for key in range(2000)])
    # Every place is hit about equally often by every index: chi-square of 59 degrees, far below a biased one.
    for place in (0, 1, size - 1):
        counts = np.bincount(images[:, place], minlength=size)
        assert ((counts - 2000 / size) ** 2 / (2000 / size)).sum() < 110


@settings(max_examples=80, deadline=None)
@given(class_sizes, st.integers(0, 10**6), st.integers(1, 200))
def test_classes_are_drawn_equally_often_and_images_once_an_epoch(sizes, seed, rounds):
    labels = _labels(sizes)
    present = np.flatnonzero(sizes)
    drawn = BalancedSampler(labels, seed, 1).indices(np.arange(rounds * len(present)))
    np.testing.assert_array_equal(np.bincount(labels[drawn], minlength=len(sizes))[present], rounds)
    for k in present:
        mine = drawn[labels[drawn] == k]
        for epoch in range(0, len(mine), sizes[k]):
            part = mine[epoch : epoch + sizes[k]]
            assert len(np.unique(part)) == len(part)  # none again before all of the class


@settings(max_examples=40, deadline=None)
@given(class_sizes, st.integers(1, 40), st.integers(0, 500))
def test_any_slot_can_be_asked_for_alone(sizes, batch, step):
    labels = _labels(sizes)
    slots = step * batch + np.arange(batch)
    sampler = BalancedSampler(labels, 3, 1)
    whole = sampler.indices(np.arange((step + 1) * batch))
    np.testing.assert_array_equal(BalancedSampler(labels, 3, 1).indices(slots), whole[slots])


def test_images_without_a_label_are_never_drawn():
    labels = np.array([-1, 2, -1, 2, 5])
    assert set(BalancedSampler(labels, 0, 1).indices(np.arange(100))) == {1, 3, 4}


def test_uniform_sampler_goes_through_all():
    drawn = uniform_sampler(17, 0, 2).indices(np.arange(34))
    np.testing.assert_array_equal(np.sort(drawn[:17]), np.arange(17))
    np.testing.assert_array_equal(np.sort(drawn[17:]), np.arange(17))
    assert not np.array_equal(drawn[:17], drawn[17:])


def test_seeds_and_streams_differ():
    labels = _labels([30, 30])
    slots = np.arange(60)
    one = BalancedSampler(labels, 0, 1).indices(slots)
    assert not np.array_equal(one, BalancedSampler(labels, 1, 1).indices(slots))
    assert not np.array_equal(one, BalancedSampler(labels, 0, 2).indices(slots))
