"""What the methods of a sweep say of images without labels: of which classes, where they disagree, how far together."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gsda_tf.choosing.agreement import agreement, estimate
from gsda_tf.choosing.criteria import Candidate
from gsda_tf.choosing.criteria.base import Pool
from gsda_tf.choosing.missing import class_shares, warnings
from gsda_tf.errors import COMMANDS
from gsda_tf.reporting.page import percent
from gsda_tf.reporting.results_table import row_title
from gsda_tf.reporting.runs import LoggedRun
from gsda_tf.tables import Table

_SHOWN = 12


def answers(runs: Mapping[str, Sequence[LoggedRun]], name_of: Callable[[int], str]) -> tuple[list[str], list]:
    """Returns sentences, and (heading, name of its note in the templates, table) of what methods say together.

    Args:
      runs: finished ones of each row, on the same images.
      name_of: of an image, by its number.
    """
    first = next(iter(runs.values()))[0]
    names, counts = first.class_names, first.evaluation.get("source_counts", np.zeros(len(first.class_names)))
    candidates = [Candidate(row, np.stack([run.probabilities for run in each])) for row, each in runs.items()]
    said = Pool(candidates, np.zeros(0)).answers
    means = np.stack([candidate.mean for candidate in candidates])
    agreed = agreement(means, said)
    found, order = estimate(agreed), np.argsort(agreed, kind="stable")
    sentences = [
        f"The answer of all methods together is probably right on {percent(found.value)} of the images "
        f"({percent(found.low)} to {percent(found.high)}), if they err in different places.",
        *warnings(said, means.mean(axis=0), means.argmax(axis=2), counts / max(counts.sum(), 1), names),
        f"To use one of them, {COMMANDS}.train --method=auto with the same flags: it chooses, and writes the model.",
    ]
    titles = [row_title(row) for row in runs]
    listed = [[name_of(int(i)), percent(agreed[i]), *(names[c] for c in means[:, i].argmax(axis=1))] for i in order]
    shares = np.stack([counts / max(counts.sum(), 1), *(class_shares(p, len(names)) for p in means.argmax(axis=2))])
    classes = np.argsort(-np.ptp(shares, axis=0), kind="stable")[:_SHOWN]
    head, words = ("image", "agreement", *titles), (0, *range(2, 2 + len(titles)))
    by_class = [(names[c], *map(percent, shares[:, c])) for c in classes]
    return sentences, [
        ("Images on which the methods disagree most", "apart", Table(head, listed[:_SHOWN], words)),
        ("Images on which they agree most", "alike", Table(head, listed[::-1][:_SHOWN], words)),
        ("Class shares", "shares", Table(("class", "source", *titles), by_class)),
    ]
