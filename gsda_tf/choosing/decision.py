"""Decides among a pool of candidates for an unlabelled target, from their predictions and untouched features."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from gsda_tf.choosing import agreement, clustering, missing
from gsda_tf.choosing.choice import PLAIN, TRUSTED, Choice, choose
from gsda_tf.choosing.criteria import Candidate
from gsda_tf.errors import COMMANDS

_USABLE, _SURE = 0.6, 0.95
"""Estimated accuracies: below the first the answers should not be used; from the second on nobody need look at them."""
_SUPPORTED = 0.8
"""Mean probability of an answer over the nearest images, from which on it may be called unanimous."""


@dataclasses.dataclass(frozen=True)
class Decision:
    """The choice, how sure it is, and what to look at.

    Attributes:
      choice: the candidate and why.
      seed: which of its seeds, counted from 0, is nearest to all of them.
      answers: int64 [n], of that seed.
      said: int64 [n] by candidate, the answers of its seeds together.
      agreement: float [n], 0..1, how far all candidates agree with the answer: what an export says of new images, too.
      support: float [n], 0..1, how far they give it to the nearest images.
      right: float [n], how probably the answer is right, whose mean is the estimate.
      unanimous: bool [n], where every run and witness gives it and the nearest images support it.
      estimate: of the accuracy.
      warnings: a sentence each.
    """

    choice: Choice
    seed: int
    answers: np.ndarray
    said: dict[str, np.ndarray]
    agreement: np.ndarray
    support: np.ndarray
    right: np.ndarray
    unanimous: np.ndarray
    estimate: agreement.Estimate
    warnings: list[str]

    @property
    def order(self) -> np.ndarray:
        """All images, int64 [n], from the least to the most certain answer."""
        return np.argsort(self.agreement + self.support, kind="stable")

    @property
    def levels(self) -> list[tuple[float, float, float]]:
        """(agreement, share of the images that reach it, how many of these answers are probably right), each 0..1."""
        found = [(level, self.agreement >= level - 1e-9) for level in (0.95, 0.9, 0.8, 0.7, 0.6, 0.5)]
        return [(level, float(here.mean()), float(self.right[here].mean())) for level, here in found if here.any()]

    @property
    def advice(self) -> str:
        """One sentence, what to do."""
        ask = f"label forty images ({COMMANDS}.pick) and train with them (--target_labels)"
        if self.choice.name == PLAIN and self.choice.runner_up:
            return f"Do not adapt: use source only, try another backbone, or {ask}."
        if self.estimate.value < _USABLE:
            return f"Do not use the answers as they are: try another backbone, or {ask}."
        sure = next((each for each in reversed(self.levels) if each[2] >= _SURE), None)
        if sure is None or sure[1] == 1.0:
            return f"Use it, and look at the first images of predictions.csv; to know how many are right {ask}."
        level, share, right = sure
        rest = len(self.agreement) - round(share * len(self.agreement))
        return (
            f"Use the answers whose agreement is {level:g} or more, {100 * share:.0f} % of the images, of which about "
            f"{100 * right:.0f} % are right; look at the other {rest:,}, or {ask}."
        )

    @property
    def sentence(self) -> str:
        """The choice, how accurate it probably is, and the runner-up."""
        found = self.estimate
        sure = f"probably {100 * found.value:.0f} % right ({100 * found.low:.0f} to {100 * found.high:.0f})"
        after = f"; next is {self.choice.runner_up}" if self.choice.runner_up else ""
        return f"{self.choice.reason}; {sure}{after}."


def decide(
    candidates: Sequence[Candidate],
    source_features: np.ndarray,
    source_labels: np.ndarray,
    target_features: np.ndarray,
    class_names: Sequence[str],
    labels: np.ndarray | None = None,
    frozen: bool = True,
) -> Decision:
    """Chooses among candidates; no label of the target is an argument but those that its user handed over.

    Args:
      candidates: with float [s, n, r] probabilities; the plainest first.
      source_features: float [ns, d], of a network that no candidate has changed.
      source_labels: int [ns].
      target_features: float [n, d].
      class_names: r names.
      labels: int [n], as `choose` takes them.
      frozen: likewise.
    """
    values = clustering.reduced(target_features)
    means = np.stack([candidate.mean for candidate in candidates])
    shares = missing.class_shares(source_labels, len(class_names))
    # As many clusters as classes that seem to be there: of a class that is missing, more would cut others in two.
    found = missing.class_shares(means.mean(axis=0).argmax(axis=1), len(class_names))
    present = int(((found >= missing.THIN * shares) & (shares > 0)).sum())
    groups = clustering.clusters(values, max(present, 2))
    made = choose(candidates, groups, labels, frozen)
    taken = next(candidate for candidate in candidates if candidate.name == made.name)
    seed = int((taken.predictions == taken.mean.argmax(axis=1)).mean(axis=1).argmax())
    probabilities = np.asarray(taken.probabilities[seed], np.float64)
    answers = probabilities.argmax(axis=1)
    runs = np.concatenate([candidate.predictions for candidate in candidates])
    share = agreement.agreement(means, answers)
    votes = np.mean([(candidate.predictions == answers).mean(axis=0) for candidate in candidates], axis=0)
    support = agreement.neighbours_support(values, means.mean(axis=0), answers)
    source, target = (clustering.comparable(features) for features in (source_features, target_features))
    nearest = agreement.nearest_means(source, source_labels, target)
    same = (np.stack([*runs, nearest, agreement.majorities(runs, groups)]) == answers).all(axis=0)
    # How sure the others are says nothing of what is found without training; which label they give does.
    right = votes if made.name == TRUSTED else share
    return Decision(
        choice=made,
        seed=seed,
        answers=answers,
        said={candidate.name: candidate.mean.argmax(axis=1) for candidate in candidates},
        agreement=share,
        support=support,
        right=right,
        unanimous=same & (support > _SUPPORTED),
        estimate=agreement.estimate(right),
        warnings=missing.warnings(answers, probabilities, runs, shares, class_names),
    )
