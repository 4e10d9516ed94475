"""The hierarchy: domain -> groups of classes -> classes (section 2.2 of the paper).

A hierarchy is data: one 0/1 matrix a level that says which classes belong to which node. Losses and the
synchronization are written for any list of levels; the paper's three are the default.
"""

import dataclasses
import functools
import json
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from gsda_tf.errors import UserError, choose, explained
from gsda_tf.files import read_regular

_CLASSES_A_GROUP = 5
_MOST_BYTES = 2**24
"""Of a file of groups."""


@dataclasses.dataclass(frozen=True)
class Level:
    """One level of the hierarchy.

    Attributes:
      name: "domain", "group" (or "group1", "group2" ... from the coarsest on), or "class".
      membership: float32 [r, n], 1 where class i belongs to node k.
    """

    name: str
    membership: np.ndarray

    @property
    def size(self) -> int:
        """Number of nodes n: one discriminator each."""
        return self.membership.shape[1]

    @functools.cached_property
    def tensor(self) -> tf.Tensor:
        """The membership, outside of graphs: they would hold a copy at each use, of 100 MB with 5,000 classes."""
        return _outside(self.membership)


@dataclasses.dataclass(frozen=True)
class Hierarchy:
    """Levels from the domain down to the classes.

    Attributes:
      levels: at least one; the order is from coarse to fine.
    """

    levels: tuple[Level, ...]

    @property
    def num_classes(self) -> int:
        """r, the number of classes."""
        return self.levels[0].membership.shape[0]

    @property
    def size(self) -> int:
        """K: nodes, and so discriminators, over all levels."""
        return self.membership.shape[1]

    @property
    def slices(self) -> dict[str, slice]:
        """Returns where each level's nodes lie among the K rows."""
        ends = np.cumsum([level.size for level in self.levels])
        return {level.name: slice(int(e) - level.size, int(e)) for level, e in zip(self.levels, ends)}

    @property
    def membership(self) -> np.ndarray:
        """float32 [r, K]: the levels side by side."""
        return np.concatenate([level.membership for level in self.levels], axis=1)

    @functools.cached_property
    def below(self) -> list[tf.Tensor]:
        """`children` of every level but the finest, outside of graphs."""
        return [_outside(self.children(upper)) for upper in range(len(self.levels) - 1)]

    def children(self, upper: int) -> np.ndarray:
        """Returns which nodes of level `upper + 1` lie below which nodes of level `upper`, as (10) sums over them.

        Returns:
          float32 [n_upper, n_lower], 1 where every class of the lower node belongs to the upper node.
        """
        above, below = self.levels[upper].membership, self.levels[upper + 1].membership
        outside = (1.0 - above).T @ below
        return (outside == 0).astype(np.float32)


def _outside(values: np.ndarray) -> tf.Tensor:
    with tf.init_scope():
        return tf.constant(values)


def build_hierarchy(num_classes: int, num_groups: Sequence[int], names: Sequence[str], seed: int) -> Hierarchy:
    """Draws the groups and keeps the named levels.

    Groups are a random partition of the classes with nearly equal sizes. With several levels of groups, each
    coarser group is a union of finer ones, so that (12) is defined between neighbouring levels.

    Args:
      num_classes: r.
      num_groups: number of groups at each level of groups, in any order; none: what suits the classes.
      names: the levels that a method aligns, of "domain", "group" and "class".
      seed: of the run.

    Raises:
      UserError: more groups than classes.
    """
    sizes = sorted(set(num_groups or default_groups(num_classes)))
    if "group" in names and sizes and sizes[-1] > num_classes:
        raise UserError(
            f"--num_groups={','.join(map(str, num_groups))} asks for more groups than there are classes "
            f"({num_classes}): expected at most {num_classes}."
        )
    groups = _groups(num_classes, sizes, np.random.default_rng([seed, 0x67726F7570])) if "group" in names else []
    return _around(groups, num_classes, names)


def default_groups(num_classes: int) -> tuple[int, ...]:
    """Five classes a group, as in the paper, but at least two groups; two classes leave nothing between the domain and
    the classes."""
    return (max(2, round(num_classes / _CLASSES_A_GROUP)),) if num_classes > 2 else ()


def hierarchy_from_groups(num_classes: int, groups: Sequence[Sequence[int]]) -> Hierarchy:
    """Domain, the given groups, classes. Groups may overlap; together they must hold every class.

    Raises:
      UserError: a class in no group.
    """
    membership = np.zeros((num_classes, len(groups)), np.float32)
    for q, group in enumerate(groups):
        membership[list(group), q] = 1
    missing = np.flatnonzero(~membership.any(axis=1))
    if len(missing):
        raise UserError(f"Classes {missing.tolist()} are in no group: every class needs at least one.")
    return _around([Level("group", membership)], num_classes)


def read_groups(path: str, class_names: Sequence[str]) -> list[list[int]]:
    """Groups that the user chose: a JSON list of lists of class names.

    Returns:
      The groups as indices into `class_names`.

    Raises:
      UserError: no such file, not of that form, or a name that is no class.
    """
    todo = 'Expected a JSON list of lists of class names, such as [["cat", "dog"]].'
    with explained(f"--groups_file={path} could not be read", todo):
        groups = json.loads(read_regular(path, _MOST_BYTES))
        if not (isinstance(groups, list) and groups and all(isinstance(group, list) and group for group in groups)):
            raise ValueError("it is none")
    index = {name: i for i, name in enumerate(class_names)}
    return [[index[choose(f"class in {path}", str(name), index)] for name in group] for group in groups]


def _around(groups: Sequence[Level], num_classes: int, names: Sequence[str] = ("domain", "class")) -> Hierarchy:
    """The levels of groups, below the domain and above the classes, where these are named."""
    domain = [Level("domain", np.ones((num_classes, 1), np.float32))] if "domain" in names else []
    classes = [Level("class", np.eye(num_classes, dtype=np.float32))] if "class" in names else []
    return Hierarchy((*domain, *groups, *classes))


def _groups(num_classes: int, sizes: Sequence[int], rng: np.random.Generator) -> list[Level]:
    """Nested random partitions into `sizes` (ascending) groups, coarsest first."""
    levels: list[Level] = []
    below = np.eye(num_classes, dtype=np.float32)
    for depth, size in zip(range(len(sizes), 0, -1), reversed(sizes)):
        nodes = rng.permutation(below.shape[1])
        to_group = np.zeros((below.shape[1], size), np.float32)
        to_group[nodes, np.arange(len(nodes)) % size] = 1
        below = below @ to_group
        levels.insert(0, Level("group" if len(sizes) == 1 else f"group{depth}", below))
    return levels
