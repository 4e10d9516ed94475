import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsda_tf.errors import UserError
from gsda_tf.methods.gsda.hierarchy import build_hierarchy, hierarchy_from_groups, read_groups

ALL = ("domain", "group", "class")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.lists(st.integers(1, 60), min_size=1, max_size=3), st.integers(0, 1000))
def test_groups_are_nested_partitions_of_nearly_equal_size(classes, sizes, seed):
    if max(sizes) > classes:
        with pytest.raises(UserError, match="more groups than there are classes"):
            build_hierarchy(classes, sizes, ALL, seed)
        return
    hierarchy = build_hierarchy(classes, sizes, ALL, seed)
    assert [level.size for level in hierarchy.levels] == [1, *sorted(set(sizes)), classes]
    for i, level in enumerate(hierarchy.levels):
        np.testing.assert_array_equal(level.membership.sum(axis=1), 1)  # every class in exactly one node
        if i + 1 < len(hierarchy.levels):
            np.testing.assert_array_equal(hierarchy.children(i).sum(axis=0), 1)  # every node has one parent
    finest = hierarchy.levels[-2].membership.sum(axis=0)
    assert finest.max() - finest.min() <= 1


def test_groups_follow_from_the_seed():
    one, again, other = (build_hierarchy(31, [6], ALL, seed).membership for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_rows_lie_where_slices_say():
    hierarchy = build_hierarchy(10, [2, 5], ALL, 0)
    assert hierarchy.size == 1 + 2 + 5 + 10
    assert hierarchy.slices == {
        "domain": slice(0, 1),
        "group1": slice(1, 3),
        "group2": slice(3, 8),
        "class": slice(8, 18),
    }
    np.testing.assert_array_equal(hierarchy.membership[:, 8:], np.eye(10))


def test_overlapping_groups_count_a_class_under_each_parent():
    hierarchy = hierarchy_from_groups(3, [[0, 1], [1, 2]])
    np.testing.assert_array_equal(hierarchy.children(1), [[1, 1, 0], [0, 1, 1]])
    np.testing.assert_array_equal(hierarchy.children(0), [[1, 1]])


def test_groups_must_hold_every_class():
    with pytest.raises(UserError, match=r"Classes \[2\] are in no group"):
        hierarchy_from_groups(3, [[0, 1]])


def test_groups_of_the_users_own(tmp_path):
    path = tmp_path / "groups.json"
    path.write_text('[["cat", "dog"], ["dog", "hen"]]')
    assert read_groups(str(path), ["cat", "dog", "hen"]) == [[0, 1], [1, 2]]
    path.write_text('[["cat", "dgo"]]')
    with pytest.raises(UserError, match="Did you mean 'dog'"):
        read_groups(str(path), ["cat", "dog", "hen"])
    for wrong in ("{", "[]", '["cat"]', "[[]]"):
        path.write_text(wrong)
        with pytest.raises(UserError, match="--groups_file"):
            read_groups(str(path), ["cat", "dog", "hen"])
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match="is a pipe: expected a file"):
        read_groups(str(path), ["cat", "dog", "hen"])
