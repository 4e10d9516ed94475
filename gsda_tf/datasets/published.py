"""Numbers that others published, to stand beside measured ones. Nothing here was measured by this project.

They lie in `published.csv` of a data set's folder, in the order of the publications. "Paper" is GSDA: Hu, Kan, Shan and
Chen, Unsupervised Domain Adaptation with Hierarchical Gradient Synchronization, CVPR 2020. It gives its Office-31
partial results in a supplement that is not reproduced here, and it prints 81.5 as GSDA's average on VisDA-2017, whose
twelve columns average 82.5.
"""

import csv
import dataclasses
import functools
import os


@dataclasses.dataclass(frozen=True)
class Published:
    """One row of a published table.

    Attributes:
      title: the method, as it was published, and its backbone unless that is ResNet-50.
      source: where the row is from.
      values: percent, by column; empty if only the average is known.
      average: percent, as printed.
      method: our name of the same method.
    """

    title: str
    source: str
    values: dict[str, float]
    average: float
    method: str


def columns(benchmark: str) -> tuple[str, ...]:
    """Codes of the tasks, or names of the classes for VisDA-2017, in the paper's order; () if nothing is known."""
    return next((tuple(row.values) for row in rows(benchmark) if row.values), ())


@functools.cache
def rows(benchmark: str) -> tuple[Published, ...]:
    """The published rows of a benchmark; () if there are none."""
    path = os.path.join(os.path.dirname(__file__), benchmark, "published.csv")
    if not os.path.exists(path):
        return ()
    found = []
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            title, source, average, method = (row.pop(name) for name in ("title", "source", "average", "method"))
            values = {column: float(value) for column, value in row.items() if value}
            found.append(Published(title, source, values, float(average), method))
    return tuple(found)
