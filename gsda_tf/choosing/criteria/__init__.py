"""Criteria that compare candidates on an unlabelled target, one a file, each with what it cannot see.

Scores of one model that compare its own steps, entropy, IM and SND, stand in `evaluation.unsupervised`: they do not
compare methods, for a method that minimises one of them looks best in it whether it is right or wrong.
"""

import importlib
import math
import pkgutil

from gsda_tf.choosing.criteria.base import Candidate, Criterion, Pool

CRITERIA: dict[str, Criterion] = {
    found.name: module.CRITERION
    for found in pkgutil.iter_modules(__path__)
    if hasattr(module := importlib.import_module(f"{__name__}.{found.name}"), "CRITERION")
}


def scores(candidate: Candidate, pool: Pool) -> dict[str, float]:
    """Returns "score", the product of the criteria that count, and what each criterion says, by name."""
    found = {name: float(criterion.of(candidate, pool)) for name, criterion in CRITERIA.items()}
    return {"score": math.prod(found[name] for name, criterion in CRITERIA.items() if criterion.counts), **found}


__all__ = ["CRITERIA", "Candidate", "Criterion", "Pool", "scores"]
