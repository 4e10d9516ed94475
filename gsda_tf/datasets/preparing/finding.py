"""A published set of images, and finding it under a folder by what is in it, whatever the folders above are called.

A domain is a folder that is called like one and holds folders that are called like the classes, with or without
a level `images/` between. It may lie in a folder or in an archive, several levels deep.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from gsda_tf.data.image_files import is_image, left_behind, walk
from gsda_tf.datasets.preparing import archives
from gsda_tf.errors import DataError

MAX_DEPTH = 7
_BETWEEN = "images"  # the official Office-31 has <domain>/images/<class>


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


@dataclasses.dataclass
class FoundDomain:
    """The images of one domain in one place.

    Attributes:
      split: of the set.
      path: the folder of the classes, or the archive.
      archive: whether `path` is an archive.
      files: (label, name, place) of each image; its place is the path of the file, or its place in the archive.
    """

    split: str
    path: str
    archive: bool
    files: list[tuple[int, str, str | int]] = dataclasses.field(default_factory=list)

    def counts(self, classes: int) -> tuple[int, ...]:
        """Images of each class."""
        return tuple(np.bincount([label for label, _, _ in self.files], minlength=classes).tolist())

    def differences(self, image_set: ImageSet) -> list[tuple[str, int, int]]:
        """Returns (class, images, images of the published set) where there are others than published."""
        expected = image_set.counts[self.split]
        rows = zip(image_set.class_names, self.counts(len(expected)), expected)
        return [(name, have, want) for name, have, want in rows if have != want]

    def rank(self, image_set: ImageSet) -> tuple:
        """Least for the best copy: with the fewest images missing or too many, then a folder rather than an archive."""
        wrong = sum(abs(have - want) for _, have, want in self.differences(image_set))
        return wrong, self.archive, len(self.path), self.path

    def read(self) -> Iterator[tuple[int, str, bytes]]:
        """(rank, name, bytes) of every image; rank is its place in the order of class and file name."""
        ordered = sorted(self.files, key=lambda file: (*file[:2], str(file[2])))
        ranks = {place: (rank, name) for rank, (_, name, place) in enumerate(ordered)}
        read = archives.read(self.path, ranks) if self.archive else ((p, pathlib.Path(p).read_bytes()) for p in ranks)
        for place, data in read:
            yield (*ranks[place], data)


def find(manual_dir: str, image_set: ImageSet) -> tuple[dict[str, FoundDomain], dict[str, str]]:
    """The best copy of every domain under a folder. Archives are opened only if folders fall short.

    Args:
      manual_dir: where to look.
      image_set: what to look for.

    Returns:
      (what was found, by split; why an archive could not be used, by path).
    """
    copies: dict[tuple, FoundDomain] = {}
    packed, problems = [], {}
    for folder, _, names in _walk(manual_dir):
        for name in filter(is_image, names):
            _add(copies, image_set, folder.split(os.sep), name, os.path.join(folder, name))
        packed += [os.path.join(folder, name) for name in names if archives.stem(name)]
    found = _best(copies, image_set)
    if len(found) == len(image_set.domains) and not any(each.differences(image_set) for each in found.values()):
        return found, problems
    for path in sorted(packed):
        # An archive of one domain may be called like it (train.tar), or lie in a folder called like it.
        above = [os.path.basename(os.path.dirname(path)), archives.stem(os.path.basename(path))]
        try:
            for place, member in archives.listing(path):
                *root, name = [*above, *(part for part in member.split("/") if part not in ("", "."))]
                if is_image(name) and not any(map(left_behind, root)):
                    _add(copies, image_set, root, name, place, path)
        except DataError as error:
            problems[path] = str(error)
    return _best(copies, image_set), problems


def _add(
    copies: dict[tuple, FoundDomain],
    image_set: ImageSet,
    root: Sequence[str],
    file: str,
    place: str | int,
    archive: str = "",
) -> None:
    """Adds an image, if the folders `root` that it lies in are those of a class of a domain."""
    *root, name = root
    # A domain is called like it or, if it is called `images`, the folder above.
    above = root[:-1] if root and plain(root[-1]) == _BETWEEN else root
    split = image_set.splits.get(plain(above[-1])) if above else None
    label = image_set.labels.get(plain(name))
    if split is not None and label is not None:
        new = FoundDomain(split, archive or os.sep.join(root), bool(archive))
        copies.setdefault((archive, *root), new).files.append((label, file, place))


def _best(copies: Mapping[tuple, FoundDomain], image_set: ImageSet) -> dict[str, FoundDomain]:
    """The best copy of each split that there is, in the order of the splits."""
    worst_first = sorted(copies.values(), key=lambda domain: domain.rank(image_set), reverse=True)
    best = {domain.split: domain for domain in worst_first}
    return {split: best[split] for split in image_set.domains if split in best}


def require(manual_dir: str, image_set: ImageSet) -> dict[str, FoundDomain]:
    """Every domain, complete.

    Raises:
      DataError: a domain is missing, or its number of images is not the known one.
    """
    found, problems = find(manual_dir, image_set)
    missing = [split for split in image_set.domains if split not in found]
    if missing:
        have = f"only {' and '.join(found)} of {image_set.title}" if found else f"nothing of {image_set.title}"
        gone = "" if os.path.isdir(manual_dir) else ", which is no folder"
        also = "".join(f" {path} was not used: {problem}." for path, problem in problems.items())
        raise DataError(
            f"Found {have} in {manual_dir}{gone}, missing {', '.join(missing)}: looked for folders "
            f"{', '.join(image_set.domains[split][0] for split in missing)} that hold one folder a class "
            f"({', '.join(image_set.class_names[:3])}, ...).{also} {image_set.instructions}"
        )
    wrong = []
    for split, domain in found.items():
        if differ := ", ".join(f"{name} {have} of {want}" for name, have, want in domain.differences(image_set)):
            wrong.append(f"{split} has {len(domain.files):,} of {sum(image_set.counts[split]):,} images ({differ})")
    if wrong:
        raise DataError(
            f"{image_set.title} is not complete, or not the published one: {'; '.join(wrong)}. Extract or download "
            "it again; a version of your own is trained on with --pipeline=folders."
        )
    return found


def _walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """`image_files.walk`, a few levels deep."""
    top = os.path.abspath(os.path.expanduser(top))
    for folder, folders, files in walk(top, again=True):
        yield folder, folders, files
        if folder[len(top) :].count(os.sep) >= MAX_DEPTH:
            folders.clear()


def files(manual_dir: str, wanted: Callable[[str], bool]) -> Iterator[str]:
    """Paths of the files under a folder whose names are wanted."""
    for folder, _, names in _walk(manual_dir):
        yield from (os.path.join(folder, name) for name in names if wanted(name))
