"""A small loss beside an accuracy near chance is told; nothing else is."""

import numpy as np
import pytest

from gsda_tf.evaluation.sanity import doubts


@pytest.mark.parametrize(
    "accuracy, loss, chance, doubted",
    [
        (0.3333, 0.06, 1 / 3, True),
        (0.55, 0.06, 1 / 3, True),
        (0.98, 0.06, 1 / 3, False),
        (0.33, 1.1, 1 / 3, False),  # nothing learnt yet
        (0.91, 0.05, 0.9, False),  # nearly all images are of one class
        (0.1, None, 0.9, False),
        (0.1, float("nan"), 0.9, False),
        (None, 0.06, 0.9, False),  # no source
    ],
)
def test_doubts(accuracy, loss, chance, doubted):
    labels = np.repeat([0, 1], [round(100 * chance), round(100 * (1 - chance))])
    labels = np.resize([0, 1, 2], 99) if chance == 1 / 3 else labels
    assert bool(doubts(accuracy, loss, labels)) == doubted
