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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

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


class ImageFile(NamedTuple):
    """One image.

    Attributes:
      label: of its class.
      name: of the file.
      place: path of the file, or its place in the archive.
    """

    label: int
    name: str
    place: str | int


@dataclasses.dataclass
class FoundDomain:
    """The images of one domain in one place.

    Attributes:
      split: of the set.
      path: the folder of the classes, or the archive.
      archive: whether `path` is an archive.
      files: the images.
      unknown: names of folders beside the classes that are none.
    """

    split: str
    path: str
    archive: bool
    files: list[ImageFile] = dataclasses.field(default_factory=list)
    unknown: set[str] = dataclasses.field(default_factory=set)

    def counts(self, classes: int) -> tuple[int, ...]:
        """Images of each class."""
        return tuple(np.bincount([file.label for file in self.files], minlength=classes).tolist())

    def complete(self, image_set: ImageSet) -> bool:
        """Returns whether it has as many images of each class as the published set."""
        return self.counts(len(image_set.class_names)) == image_set.counts[self.split]

    def read(self) -> Iterator[tuple[int, str, bytes]]:
        """(rank, name, bytes) of every image; rank is its place in the order of class and file name."""
        ordered = sorted(self.files, key=lambda file: (file.label, file.name, str(file.place)))
        ranks = {file.place: (rank, file.name) for rank, file in enumerate(ordered)}
        read = archives.read(self.path, ranks) if self.archive else ((p, pathlib.Path(p).read_bytes()) for p in ranks)
        for place, data in read:
            yield (*ranks[place], data)


def find(manual_dir: str, image_set: ImageSet, problems: dict[str, str] | None = None) -> dict[str, FoundDomain]:
    """The best copy of every domain under a folder. Archives are opened only if folders fall short.

    Args:
      manual_dir: where to look.
      image_set: what to look for.
      problems: is told, by path, why an archive could not be used.

    Returns:
      What was found, by split: the copy with the fewest classes missing, then the one nearest to the known
      number of images, then a folder rather than an archive.
    """
    copies: dict[tuple, FoundDomain] = {}
    packed = []
    for folder, folders, files in _walk(manual_dir):
        *root, name = folder.split(os.sep)
        paths = ((file, os.path.join(folder, file)) for file in files if is_image(file))
        images = ((file, path) for file, path in paths if os.path.isfile(path))
        # What is below are images; but VisDA's `train` is a domain and a class, and `train/train/` may be either.
        if _add(copies, image_set, root, name, None, images) and plain(name) not in image_set.splits:
            folders.clear()
        packed += [os.path.join(folder, file) for file in files if archives.stem(file)]
    found = _best(copies, image_set)
    if all(split in found and found[split].complete(image_set) for split in image_set.domains):
        return found
    for path in sorted(packed):
        # An archive of one domain may be called like it (train.tar), or lie in a folder called like it.
        above = [os.path.basename(os.path.dirname(path)), archives.stem(os.path.basename(path))]
        try:
            for place, member in archives.listing(path):
                *root, name, file = [*above, *(part for part in member.split("/") if part not in ("", "."))]
                if is_image(file) and not any(map(left_behind, root)):
                    _add(copies, image_set, root, name, path, [(file, place)])
        except DataError as error:
            if problems is not None:
                problems[path] = str(error)
    return _best(copies, image_set)


def _add(
    copies: dict[tuple, FoundDomain],
    image_set: ImageSet,
    root: Sequence[str],
    name: str,
    archive: str | None,
    files: Iterable[tuple[str, str | int]],
) -> bool:
    """Adds files (name, place) in `root`/`name`, if that is a class of a domain; returns whether it is."""
    # A domain is called like it or, if it is called `images`, the folder above.
    above = root[:-1] if root and plain(root[-1]) == _BETWEEN else root
    split = image_set.splits.get(plain(above[-1])) if above else None
    if split is None:
        return False
    path = archive or os.sep.join(root)
    domain = copies.setdefault((archive, *root), FoundDomain(split, path, archive is not None))
    label = image_set.labels.get(plain(name))
    if label is None:
        domain.unknown.add(name)
        return False
    domain.files += (ImageFile(label, *file) for file in files)
    return True


def _best(copies: Mapping[tuple, FoundDomain], image_set: ImageSet) -> dict[str, FoundDomain]:
    """The best copy of each split that there is, in the order of the splits."""

    def rank(domain: FoundDomain) -> tuple:
        expected = image_set.counts[domain.split]
        counts = domain.counts(len(expected))
        missing = sum(1 for have, want in zip(counts, expected) if want and not have)
        surplus = abs(sum(counts) - sum(expected))
        return missing + len(domain.unknown), surplus, domain.archive, len(domain.path), domain.path

    best: dict[str, FoundDomain] = {}
    for domain in sorted((domain for domain in copies.values() if domain.files), key=rank):
        best.setdefault(domain.split, domain)
    return {split: best[split] for split in image_set.domains if split in best}


def require(manual_dir: str, image_set: ImageSet) -> dict[str, FoundDomain]:
    """Every domain, complete.

    Raises:
      DataError: a domain is missing, or its number of images is not the known one.
    """
    problems: dict[str, str] = {}
    found = find(manual_dir, image_set, problems)
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
    for split, expected in image_set.counts.items():
        counts = found[split].counts(len(expected))
        rows = zip(image_set.class_names, counts, expected)
        differ = ", ".join(f"{name} {have} of {want}" for name, have, want in rows if have != want)
        if differ:
            wrong.append(f"{split} has {sum(counts):,} of {sum(expected):,} images ({differ})")
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
