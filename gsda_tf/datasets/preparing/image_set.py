"""The facts of a published set of images: its domains, its classes, and how many images each has."""

from __future__ import annotations

import csv
import dataclasses
import functools
import os
import re
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """A set of images in folders `<domain>/<class>/`, which users download themselves.

    Attributes:
      name: of the builder.
      title: as messages call it.
      class_names: r names, in the order of the labels.
      domains: for each split, the names that its folder goes by; case, spaces, `_` and `-` do not matter.
      counts: for each split, the number of images in each class, in the order of `class_names`.
      archives: what to get, as a message says it.
      home: where it is usually found.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    domains: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, tuple[int, ...]]
    archives: str
    home: str

    @classmethod
    def beside(cls, module: str, **facts) -> ImageSet:
        """The set called like the folder of a module, with the classes and counts of `classes.csv` there.

        Args:
          module: its `__file__`.
          facts: the other attributes.
        """
        folder = os.path.dirname(module)
        with open(os.path.join(folder, "classes.csv"), encoding="utf-8", newline="") as file:
            (_, *splits), *rows = csv.reader(file)
        names, *columns = zip(*rows)
        counts = {split: tuple(map(int, column)) for split, column in zip(splits, columns)}
        return cls(name=os.path.basename(folder), class_names=names, counts=counts, **facts)

    @functools.cached_property
    def labels(self) -> dict[str, int]:
        """The label of each class, by its plain name."""
        return {plain(name): label for label, name in enumerate(self.class_names)}

    @functools.cached_property
    def splits(self) -> dict[str, str]:
        """The split of each domain, by every plain name of its folder."""
        return {plain(name): split for split, names in self.domains.items() for name in names}

    @property
    def instructions(self) -> str:
        """Says what to get, where it is usually found, and where to put it."""
        return (
            f"Get {self.archives} (usually found at {self.home}), and put it, as it is or extracted, anywhere "
            "under the folder given by --manual_dir."
        )


def plain(name: str) -> str:
    """A name without what copies of a data set disagree on: "Real World", "Real_World" -> "realworld"."""
    return re.sub(r"[\s_\-]+", "", name).casefold()
