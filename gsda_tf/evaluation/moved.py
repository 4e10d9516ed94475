"""How far new images are from those that a model was adapted to, and whether it should be adapted again."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gsda_tf.data.domain import evenly
from gsda_tf.evaluation.shares import estimate
from gsda_tf.evaluation.unsupervised import distances

MOST = 500
"""Images on either side."""
LEAST, APART = 50, 0.35
"""Pairs from which on a distance is told, and the distance from which on images are others: docs/results.md."""
_SPLITS, _SHOWN = 20, 3


class Moved(NamedTuple):
    """What tells new images from those that a model was adapted to.

    Attributes:
      pairs: images of either side that were compared, as many of each predicted class.
      distance: proxy A-distance between them, 0 (alike; below it by chance) to 2; NaN with fewer than `LEAST` pairs.
      spread: its standard deviation over divisions of the images.
      scores: mean probability of the answer, then and now.
      shares: estimated class shares, float [r], then and now.
    """

    pairs: int
    distance: float
    spread: float
    scores: tuple[float, float]
    shares: tuple[np.ndarray, np.ndarray]

    @property
    def again(self) -> bool:
        """Whether to adapt the model again; False, too, where there are too few images to tell."""
        return self.distance >= APART

    def rows(self, class_names: Sequence[str]) -> list[tuple[str, str]]:
        """What is shown: names, and what there is to say of each."""
        then, now = self.shares
        most = np.argsort(-np.abs(now - then), kind="stable")[:_SHOWN]
        shares = [f"{class_names[k]} {100 * then[k]:.1f} % then, {100 * now[k]:.1f} % now" for k in most]
        far, why = f"{self.distance:.2f} ± {self.spread:.2f}, of 2", f"{APART} and more tells of others"
        answer = f"yes, these are other images ({why})" if self.again else f"no, these are alike images ({why})"
        if self.pairs < LEAST:
            far, answer = "unknown", f"unknown: few images, or of other classes; expected {LEAST} pairs, better 100"
        return [
            ("pairs of alike classes", f"{self.pairs}"),
            ("their A-distance", far),
            ("mean score", f"{self.scores[0]:.3f} then, {self.scores[1]:.3f} now"),
            ("class shares", "; ".join(shares)),
            ("adapt again?", answer),
        ]


def compare(seen: Sequence[np.ndarray], new: Sequence[np.ndarray]) -> Moved:
    """Compares new images with those that a model was adapted to.

    The A-distance (Ben-David et al., NIPS 2007) is taken between as many images of each predicted class on both sides,
    drawn anew for each division: other shares of the same classes are no other images.

    Args:
      seen: (features float [m, d], probabilities float [m, r]) of images that the model was adapted to.
      new: the same of n new ones.
    """
    sides = [[values[evenly(len(values), MOST)] for values in side] for side in (seen, new)]
    answers = [probabilities.argmax(axis=1) for _, probabilities in sides]
    rng, classes, divisions = np.random.default_rng(0), np.unique(answers[0]), []
    for _ in range(_SPLITS):
        orders = [rng.permutation(len(answer)) for answer in answers]
        drawn = [[order[answer[order] == k] for k in classes] for order, answer in zip(orders, answers)]
        pairs = np.concatenate([(mine[: len(theirs)], theirs[: len(mine)]) for mine, theirs in zip(*drawn)], axis=1)
        divisions.append(rng.permutation(pairs, axis=1))
    count = divisions[0].shape[1]
    found = distances(sides[0][0], sides[1][0], divisions) if count >= LEAST else np.full(1, np.nan)
    scores, shares = zip(*((float(p.max(axis=1).mean()), estimate(p)) for _, p in sides))
    return Moved(count, float(found.mean()), float(found.std()), scores, shares)
