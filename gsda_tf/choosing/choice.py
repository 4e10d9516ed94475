"""Chooses one candidate by the criteria, names the runner-up, and says why in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gsda_tf.choosing import criteria
from gsda_tf.choosing.criteria import Candidate

PLAIN = "source_only"
"""The candidate that does not adapt: it wins where none is trusted to beat it."""
MARGIN = 0.01
"""By so much a candidate's score must exceed the plainer one's; below it two partitions are called equal."""
TRUSTED, MATCHED = "spl", 0.72
"""The candidate that was best on every task where the rule was made, on frozen features. It stands unless it agrees
less with the answer of all: 0.61 was seen where it had changed the places of classes, 0.83 and more where not."""

EQUAL = 100
"""Labelled images that weigh as much as the score without labels, whose regret is what so many leave to chance."""


class Choice(NamedTuple):
    """A decision.

    Attributes:
      name: of the candidate that is taken.
      runner_up: the next best; None where there is no other.
      reason: one sentence.
      scores: by candidate: "score", and each criterion's by its name; with labels, "labels".
    """

    name: str
    runner_up: str | None
    reason: str
    scores: dict[str, dict[str, float]]


def choose(
    candidates: Sequence[Candidate], groups: np.ndarray, labels: np.ndarray | None = None, frozen: bool = True
) -> Choice:
    """Takes `TRUSTED`, unless something speaks against it or there are labels that decide; else the candidate whose
    labels agree best with the clusters of the features and with the other candidates.

    The clusters do not see permuted classes, the others may be wrong together: the score is the product of both, which
    is small where one of them is.

    Args:
      candidates: at least one; the plainest first, which wins ties.
      groups: int [n], `clustering.clusters` of features that no candidate has changed.
      labels: int [n], those that were handed over and not trained on, -1 elsewhere; None without any. The share that is
        right of them counts beside the score, as `EQUAL` of them would in equal parts.
      frozen: whether all candidates had the same features: else `TRUSTED` is one of many.
    """
    scores = criteria.scores(candidates, groups)
    known = np.zeros(0, np.int64) if labels is None else np.flatnonzero(labels >= 0)
    for candidate in candidates if len(known) else ():
        mine = scores[candidate.name]
        mine["labels"] = float((candidate.predictions[:, known] == labels[known]).mean())
        mine["score"] = (EQUAL * mine["score"] + len(known) * mine["labels"]) / (EQUAL + len(known))
    names = [candidate.name for candidate in candidates]
    order = sorted(range(len(names)), key=lambda i: (-scores[names[i]]["score"], i))
    best = names[order[0]]
    if PLAIN in names and scores[best]["score"] < scores[PLAIN]["score"] + MARGIN:
        best = PLAIN
    if frozen and not len(known) and TRUSTED in names and scores[TRUSTED]["crowd"] >= MATCHED:
        best = TRUSTED
    runner_up = next((names[i] for i in order if names[i] != best), None)
    reason = _reason(best, scores)
    if len(known):
        reason += f", and right on {100 * scores[best]['labels']:.0f} % of {len(known)} labelled images"
    return Choice(best, runner_up, reason, scores)


def _reason(name: str, scores: dict[str, dict[str, float]]) -> str:
    if len(scores) == 1:
        return f"{name}: there is no other candidate"
    mine, plain = scores[name], scores.get(PLAIN)
    if name == PLAIN:
        return (
            f"{name}: do not adapt, no candidate's labels agree clearly better with the clusters of your images "
            f"({mine['clusters']:.2f}) and with the other candidates ({mine['crowd']:.2f})"
        )
    if name == TRUSTED and any(scores[other]["score"] > mine["score"] for other in scores):
        return (
            f"{name}: on frozen features it was the best of the pool on most tasks that were measured, and nothing "
            f"speaks against it: it agrees with the answer of all candidates together ({mine['crowd']:.2f})"
        )
    told = {key: f"{mine[key]:.2f}" + (f"; source only {plain[key]:.2f}" if plain else "") for key in mine}
    return (
        f"{name}: its labels agree best with the clusters of your images ({told['clusters']}) and with the answer of "
        f"all candidates together ({told['crowd']})"
    )
