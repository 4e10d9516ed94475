"""Which target images to label: those on which runs agree least, spread over classes; and a random part that scores."""

import numpy as np

from gsda_tf.choosing.agreement import agreement


def pick(probabilities: np.ndarray, free: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Picks images to label; no label is an argument.

    Args:
      probabilities: float [m, n, r], what m runs say of n images.
      free: bool [n], images that may be picked.
      count: how many, or all that there are.
      seed: from which the random part follows.

    Returns:
      (int64 [count // 2], drawn at random, whose labels score without bias; int64 [k], to train on: of each predicted
      class in turn the image on which the runs agree least).
    """
    places = np.random.default_rng(seed).permutation(np.flatnonzero(free))
    count = min(count, len(places))
    scored, others = places[: count // 2], np.sort(places[count // 2 :])
    answers = np.asarray(probabilities, np.float64).mean(axis=0).argmax(axis=1)
    agreed = agreement(probabilities, answers)[others]
    order = np.lexsort((agreed, answers[others]))
    turn = np.empty(len(others), np.int64)
    starts = np.searchsorted(answers[others][order], answers[others][order])
    turn[order] = np.arange(len(others)) - starts
    return np.sort(scored), others[np.lexsort((agreed, turn))[: count - count // 2]]
