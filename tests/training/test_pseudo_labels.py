"""Which target images are trusted, image by image."""

import numpy as np
import pytest

from gsda_tf.data.domain import UNLABELLED
from gsda_tf.training.pseudo_labels import confident_pool


def _reference(probabilities, threshold) -> list[int]:
    labels = []
    for row in probabilities:
        best = 0
        for label in range(1, len(row)):
            if row[label] > row[best]:  # of equals the first
                best = label
        labels.append(best if row[best] >= threshold else UNLABELLED)
    return labels


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9, 1.0])
def test_it_is_the_reference_s(threshold):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.2] * 5, 200).astype(np.float32)
    probabilities[:3] = [[0, 1, 0, 0, 0], [0.2] * 5, [0.5, 0.5, 0, 0, 0]]
    before = probabilities.copy()
    pool = confident_pool(probabilities, threshold)
    assert pool.dtype == np.int32 and pool.tolist() == _reference(probabilities, threshold)
    np.testing.assert_array_equal(probabilities, before)


def test_at_the_threshold_is_confident():
    pool = confident_pool(np.asarray([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]], np.float32), 0.75)
    assert pool.tolist() == [0, 1, UNLABELLED]


def test_zero_keeps_every_image_and_one_the_certain_alone():
    probabilities = np.asarray([[0.5, 0.5], [0.0, 1.0]], np.float32)
    assert confident_pool(probabilities, 0.0).tolist() == [0, 1]
    assert confident_pool(probabilities, 1.0).tolist() == [UNLABELLED, 1]
