"""What a criterion is made of.

    # gsda_tf/choosing/criteria/found.py
    CRITERION = Criterion("classes", lambda mine, pool: len(np.unique(mine.predictions)))

Each file of this folder with a `CRITERION` is one, called as the file: it has a column in what `--method=auto` prints,
and its numbers are in choice.json.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Answers of one way of training.

    Attributes:
      name: of the method, "gsda+mcc".
      probabilities: float [s, n, r], of s seeds.
    """

    name: str
    probabilities: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """int64 [s, n]."""
        return np.asarray(self.probabilities).argmax(axis=2)

    @property
    def mean(self) -> np.ndarray:
        """Mean softmax of the seeds, float [n, r]: what the candidate answers."""
        return np.asarray(self.probabilities, np.float64).mean(axis=0)


@dataclasses.dataclass(frozen=True)
class Pool:
    """What a candidate is compared with.

    Attributes:
      candidates: all of them.
      groups: int [n], `clustering.clusters` of features that no candidate has changed.
    """

    candidates: Sequence[Candidate]
    groups: np.ndarray

    @functools.cached_property
    def answers(self) -> np.ndarray:
        """Of all candidates together, int64 [n]. Each has one voice, however many seeds it has."""
        return np.mean([candidate.mean for candidate in self.candidates], axis=0).argmax(axis=1)


@dataclasses.dataclass(frozen=True)
class Criterion:
    """One number for each candidate; no label of the target is an argument.

    Attributes:
      title: of its column.
      of: (candidate, pool) -> float, higher is better; the mean over the seeds.
      counts: whether it is a factor of the score by which candidates are ordered; else it is told alone.
    """

    title: str
    of: Callable[[Candidate, Pool], float]
    counts: bool = False
