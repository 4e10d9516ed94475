"""Numbers that others published, to stand beside measured ones. Nothing here was measured by this project.

"Paper" is GSDA: Hu, Kan, Shan and Chen, Unsupervised Domain Adaptation with Hierarchical Gradient
Synchronization, CVPR 2020. It gives its Office-31 partial results in a supplement that is not reproduced here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Published:
    """One row of a published table.

    Attributes:
      title: the method, as it was published, and its backbone unless that is ResNet-50.
      source: where the row is from.
      values: percent, by column; empty if only the average is known.
      average: percent, as printed.
      method: our name of the same method; "" if we do not have it.
    """

    title: str
    source: str
    values: dict[str, float]
    average: float
    method: str = ""


def columns(benchmark: str) -> tuple[str, ...]:
    """Codes of the tasks, or names of the classes for VisDA-2017, in the paper's order; () if nothing is known."""
    return _TABLES[benchmark][0] if benchmark in _TABLES else ()


def rows(benchmark: str) -> tuple[Published, ...]:
    """The published rows of a benchmark, in the paper's order; () if there are none."""
    return _TABLES[benchmark][1] if benchmark in _TABLES else ()


def _rows(source: str, names: tuple[str, ...], text: str) -> Iterator[Published]:
    """Lines 'title | our method | values average'. A title that ends in † is of a ResNet-101."""
    for line in text.strip().splitlines():
        title, method, numbers = (part.strip() for part in line.split("|"))
        *values, average = (float(number) for number in numbers.split())
        yield Published(title.replace("†", "(ResNet-101)"), source, dict(zip(names, values)), average, method)


def _averages(text: str) -> Iterator[Published]:
    """TLlib's own results: lines 'title | our method | average'."""
    for line in text.strip().splitlines():
        title, method, average = (part.strip() for part in line.split("|"))
        yield Published(title, "TLlib, epoch chosen by target labels", {}, float(average), method)


_OFFICE31 = ("A_W", "D_W", "W_D", "A_D", "D_A", "W_A")
_TABLE_1 = """
Domain (Glb)               | domain             | 87.9 98.2 100.0 85.5 66.4 64.1 83.7
+ class (Glb, Cls)         | domain_class       | 91.7 98.4 100.0 87.1 68.9 67.2 85.6
+ group (Glb, Cls, Grp)    | domain_group_class | 93.1 99.0 100.0 91.4 71.5 67.0 87.0
+ Grad Sync (GSDA)         | gsda               | 95.7 99.1 100.0 94.8 73.5 74.9 89.7
"""
_TABLE_2 = """
ResNet50 | source_only | 68.4 96.7 99.3 68.9 62.5 60.7 76.1
TCA      |             | 72.7 96.7 99.6 74.1 61.7 60.9 77.6
GFK      |             | 72.8 95.0 98.2 74.5 63.4 61.0 77.5
DAN      |             | 80.5 97.1 99.6 78.6 63.6 62.8 80.4
RTN      |             | 84.5 96.8 99.4 77.5 66.2 64.8 81.6
JAN      |             | 85.4 97.4 99.8 84.7 68.6 70.0 84.3
DANN     | domain      | 82.0 96.9 99.1 79.7 68.2 67.4 82.2
ADDA     |             | 86.2 96.2 98.4 77.8 69.5 68.9 82.9
MCDDA    |             | 82.6 98.9 99.8 84.3 66.2 66.3 83.0
MADA     |             | 90.0 97.4 99.6 87.8 70.3 66.4 85.2
CDAN     |             | 94.1 98.6 100.0 92.9 71.0 69.3 87.7
SymNets  |             | 90.8 98.8 100.0 93.9 74.6 72.5 88.4
SAFN     |             | 90.3 98.7 100.0 92.1 73.4 71.2 87.6
BSP      |             | 93.3 98.2 100.0 93.0 73.6 72.6 88.5
"""
_TLLIB_OFFICE31 = """
source only | source_only | 79.5
DANN        | domain      | 86.1
CDAN        |             | 87.7
MDD         |             | 89.6
MCC         |             | 89.6
"""

_OFFICE_HOME = (
    "Ar_Cl", "Ar_Pr", "Ar_Rw", "Cl_Ar", "Cl_Pr", "Cl_Rw", "Pr_Ar", "Pr_Cl", "Pr_Rw", "Rw_Ar", "Rw_Cl", "Rw_Pr",
)  # fmt: skip
_TABLE_3 = """
ResNet50 | source_only | 34.9 50.0 58.0 37.4 41.9 46.2 38.5 31.2 60.4 53.9 41.2 59.9 46.1
DAN      |             | 43.6 57.0 67.9 45.8 56.5 60.4 44.0 43.6 67.7 63.1 51.5 74.3 56.3
DANN     | domain      | 45.6 59.3 70.1 47.0 58.5 60.9 46.1 43.7 68.5 63.2 51.8 76.8 57.6
JAN      |             | 45.9 61.2 68.9 50.4 59.7 61.0 45.8 43.4 70.3 63.9 52.4 76.8 58.3
CDAN     |             | 50.7 70.6 76.0 57.6 70.0 70.0 57.4 50.9 77.3 70.9 56.7 81.6 65.8
SymNets  |             | 47.7 72.9 78.5 64.2 71.3 74.2 64.2 48.8 79.5 74.5 52.6 82.7 67.6
SAFN     |             | 54.4 73.3 77.9 65.2 71.5 73.2 63.6 52.6 78.2 72.3 58.0 82.1 68.5
GSDA     | gsda        | 61.3 76.1 79.4 65.4 73.3 74.3 65.0 53.2 80.0 72.2 60.6 83.1 70.3
"""
_TLLIB_OFFICE_HOME = """
source only | source_only | 58.4
DANN        | domain      | 65.2
CDAN        |             | 68.8
MDD         |             | 69.7
MCC         |             | 72.4
"""

_VISDA = (
    "aeroplane", "bicycle", "bus", "car", "horse", "knife", "motorcycle", "person", "plant", "skateboard", "train",
    "truck",
)  # fmt: skip
_TABLE_4 = """
ResNet50 | source_only | 70.6 51.8 55.8 68.9 77.9 7.6 93.3 34.5 81.1 27.9 88.6 5.6 55.3
DAN      |             | 61.7 54.8 77.7 32.2 75.0 80.8 78.3 46.9 66.9 34.5 79.6 29.1 59.8
DANN     | domain      | 75.9 70.5 65.3 17.3 72.8 38.6 58.0 77.2 72.5 40.4 70.4 44.7 58.6
MCDDA †  |             | 87.0 60.9 83.7 64.0 88.9 79.6 84.7 76.9 88.6 40.3 83.0 25.8 71.9
TPN      |             | 93.7 85.1 69.2 81.6 93.5 61.9 89.3 81.4 93.5 81.6 84.5 49.9 80.4
S-En (more augmentation) | | 96.3 87.9 84.7 55.7 95.9 95.2 88.6 77.4 93.3 92.8 87.5 38.2 82.8
BSP †    |             | 92.4 61.0 81.0 57.5 89.0 80.6 90.1 77.0 84.2 77.9 82.1 38.4 75.9
SAFN †   |             | 93.6 61.3 84.1 70.6 94.1 79.0 91.8 79.6 89.9 55.6 89.0 24.4 76.1
GSDA (columns average 82.5) | gsda        | 93.1 67.8 83.1 83.4 94.7 93.4 93.4 79.5 93.0 88.8 83.4 36.7 81.5
"""
_TLLIB_VISDA = """
source only (ResNet-101) | source_only | 51.7
DANN (ResNet-101) | domain      | 79.5
CDAN (ResNet-101) |             | 80.1
MDD (ResNet-101) |             | 82.0
MCC (ResNet-101) |             | 83.6
"""

# The paper prints 81.5 as GSDA's average on VisDA-2017; its twelve columns average 82.5.
_TABLES = {
    "office31": (
        _OFFICE31,
        (
            *_rows("paper, Table 1", _OFFICE31, _TABLE_1),
            *_rows("paper, Table 2", _OFFICE31, _TABLE_2),
            *_averages(_TLLIB_OFFICE31),
        ),
    ),
    "office_home": (
        _OFFICE_HOME,
        (*_rows("paper, Table 3", _OFFICE_HOME, _TABLE_3), *_averages(_TLLIB_OFFICE_HOME)),
    ),
    "visda2017": (_VISDA, (*_rows("paper, Table 4", _VISDA, _TABLE_4), *_averages(_TLLIB_VISDA))),
}
