"""Which images are worth a label: no label is asked for, and none is picked twice."""

import numpy as np

from gsda_tf.choosing.pick import pick

N, R = 60, 3
ANSWERS = np.arange(N) % R


def said(doubtful):
    """Two runs that agree but on some images."""
    first, second = np.eye(R)[ANSWERS] * 0.9 + 0.1 / R, np.eye(R)[ANSWERS] * 0.8 + 0.2 / R
    second[doubtful] = 1 / R
    return np.stack([first, second])


def test_those_on_which_runs_disagree_of_each_class_in_turn():
    doubtful = np.array([0, 3, 6, 9, 1, 4, 2, 5])
    scored, trained = pick(said(doubtful), np.ones(N, bool), 12, seed=1)
    assert len(scored) == len(trained) == 6 and not set(scored) & set(trained)
    assert np.bincount(ANSWERS[trained]).tolist() == [2, 2, 2]
    for label in range(R):
        left = [i for i in doubtful if ANSWERS[i] == label and i not in scored]
        assert sum(i in left for i in trained) == min(len(left), 2)


def test_the_random_part_is_even_and_does_not_look_at_what_runs_say():
    free = np.arange(N) >= 10
    drawn = [
        pick(said(doubt), free, 20, seed)[0] for seed in range(200) for doubt in (np.arange(20), np.arange(20, 40))
    ]
    assert all(np.array_equal(a, b) for a, b in zip(drawn[::2], drawn[1::2]))
    counts = np.bincount(np.concatenate(drawn), minlength=N)
    assert not counts[:10].any() and counts[10:].min() > 0


def test_no_more_than_there_are():
    scored, trained = pick(said(np.arange(3)), np.arange(N) < 5, 40)
    assert sorted([*scored, *trained]) == [0, 1, 2, 3, 4]
    assert [len(part) for part in pick(said([]), np.zeros(N, bool), 40)] == [0, 0]
