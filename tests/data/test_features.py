"""Features in the place of images: the same rows from memory, from several files, by Python or by TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.data import features
from gsda_tf.data.features import FeatureRecords, Rows

WHOLE = np.random.default_rng(0).normal(size=(9, 2, 4)).astype(np.float32)
PLACES = np.asarray([[1, 1], [0, 2], [0, 0], [1, 1], [2, 0]])


@pytest.fixture
def rows():
    """Five rows that lie in three parts, one of them twice."""
    return Rows([WHOLE[:4], WHOLE[4:7], WHOLE[7:]], PLACES)


EXPECTED = WHOLE[[5, 2, 0, 5, 7]]


def test_rows_of_parts_are_those_of_one_array(rows):
    assert rows.shape == EXPECTED.shape and rows.dtype == np.float32 and len(rows) == 5
    np.testing.assert_array_equal(rows, EXPECTED)
    for index in (np.asarray([4, 0]), np.asarray([[3, 1], [1, 4]]), np.int64(3), np.zeros(0, np.int64)):
        np.testing.assert_array_equal(rows[index], EXPECTED[index])


@pytest.mark.parametrize("most", [0, 2**30])
@pytest.mark.parametrize("kind", ["rows", "array"])
def test_what_is_held_in_memory_and_what_is_read_as_needed_is_the_same(most, kind, rows, monkeypatch):
    monkeypatch.setattr(features, "_HELD", most)
    records = FeatureRecords(rows if kind == "rows" else EXPECTED, "set")
    indices = np.asarray([[3, 1, 0], [1, 4, 2]])
    for dataset in (records.evaluation(indices, None), records.training(indices, np.zeros((2, 3, 2)), None)):
        assert dataset.element_spec == tf.TensorSpec([3, 2, 4], tf.float32)
        np.testing.assert_array_equal(np.stack([*dataset.as_numpy_iterator()]), EXPECTED[indices])
    one = tf.data.Dataset.range(5).map(records.load)
    np.testing.assert_array_equal(list(one.as_numpy_iterator()), EXPECTED)
    ops = [
        op.type
        for op in tf.function(records.load).get_concrete_function(tf.constant(1, tf.int64)).graph.get_operations()
    ]
    assert ("PyFunc" in " ".join(ops)) == (most == 0)
