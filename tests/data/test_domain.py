import types

import numpy as np

from gsda_tf.data.domain import DomainData, TaskData, hold_out


class _Records(types.SimpleNamespace):
    def __len__(self):
        return len(self.places)

    def chosen(self, indices):
        return _Records(places=self.places[indices])


def _task(counts):
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    domain = DomainData("x", _Records(places=np.arange(len(labels))), labels)
    return TaskData("x/y", domain, domain, tuple("abcd"[: len(counts)]))


def test_a_share_of_every_class_is_held_out_and_none_of_a_tiny_one():
    data = hold_out(_task([40, 4, 5, 9]), 0.2)
    np.testing.assert_array_equal(np.bincount(data.held.labels, minlength=4), [8, 0, 1, 1])
    np.testing.assert_array_equal(np.bincount(data.source.labels), [32, 4, 4, 8])
    both = np.concatenate([data.source.records.places, data.held.records.places])
    np.testing.assert_array_equal(np.sort(both), np.arange(58))
    again = hold_out(_task([40, 4, 5, 9]), 0.2)  # candidates of all seeds have the same
    np.testing.assert_array_equal(again.held.records.places, data.held.records.places)
    assert data.source_scored == "held-out" and "Held out: 10 of 58" in data.remarks[-1]


def test_nothing_is_held_out_of_too_few_or_without_a_share():
    for counts, share in (([4, 3], 0.2), ([40, 40], 0.0), ([0, 0], 0.5)):
        data = _task(counts)
        assert hold_out(data, share) is data and data.source_scored == "training"
