"""Finding a set of images under a folder by what is in it, whatever the folders above are called.

A domain is a folder that is called like one and holds folders that are called like the classes, with or without
a level `images/` between. It may lie in a folder or in an archive, several levels deep.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gsda_tf.datasets.preparing import archives
from gsda_tf.datasets.preparing.image_set import ImageSet, plain
from gsda_tf.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
MAX_DEPTH = 6
_BETWEEN = "images"  # the official Office-31 has <domain>/images/<class>


class ImageFile(NamedTuple):
    """One image.

    Attributes:
      label: of its class.
      name: of the file.
      size: bytes.
      place: path of the file, or what finds it in the archive.
    """

    label: int
    name: str
    size: int
    place: str | int


@dataclasses.dataclass
class FoundDomain:
    """The images of one domain in one place.

    Attributes:
      path: the folder of the classes, or the archive.
      archive: whether `path` is an archive.
      files: the images.
      unknown: names of folders beside the classes that are none.
    """

    path: str
    archive: bool
    files: list[ImageFile] = dataclasses.field(default_factory=list)
    unknown: set[str] = dataclasses.field(default_factory=set)

    def counts(self, classes: int) -> tuple[int, ...]:
        """Images of each class."""
        counts = [0] * classes
        for file in self.files:
            counts[file.label] += 1
        return tuple(counts)

    def fingerprint(self) -> str:
        """SHA-256 of every image's class, name and size: the same for a folder and for its archive."""
        digest = hashlib.sha256()
        for label, name, size in sorted(file[:3] for file in self.files):
            digest.update(f"{label}/{name}\t{size}\n".encode())
        return digest.hexdigest()

    def read(self) -> Iterator[tuple[int, str, bytes]]:
        """(rank, name, bytes) of every image; rank is its place in the order of class and file name.

        Raises:
          DataError: a file that cannot be read.
        """
        ranks = {file: rank for rank, file in enumerate(sorted(self.files, key=_order))}
        if not self.archive:
            for file, rank in ranks.items():
                yield rank, file.name, _read_file(str(file.place))
            return
        files = self.files  # as the archive has them: a compressed one cannot be read out of order
        members = [archives.Member(file.name, file.size, file.place) for file in files]
        for file, data in zip(files, archives.read(self.path, members)):
            yield ranks[file], file.name, data


def find(manual_dir: str, image_set: ImageSet) -> dict[str, FoundDomain]:
    """The best copy of every domain under a folder.

    Args:
      manual_dir: where to look.
      image_set: what to look for.

    Returns:
      What was found, by split: the copy with the fewest classes missing, then the one nearest to the known
      number of images, then a folder rather than an archive.
    """
    found, _ = search(manual_dir, image_set)
    return found


def require(manual_dir: str, image_set: ImageSet) -> dict[str, FoundDomain]:
    """Every domain, complete.

    Raises:
      DataError: a domain is missing, or its number of images is not the known one.
    """
    if not os.path.isdir(manual_dir):
        raise DataError(
            f"{image_set.title} is not prepared yet, and --manual_dir={manual_dir} is no folder. "
            f"{image_set.instructions}"
        )
    found, problems = search(manual_dir, image_set)
    missing = [split for split in image_set.domains if split not in found]
    if missing:
        have = f"only {' and '.join(found)} of {image_set.title}" if found else f"nothing of {image_set.title}"
        also = "".join(f" {path} was not used: {problem}." for path, problem in problems.items())
        raise DataError(
            f"Found {have} in {manual_dir}, missing {', '.join(missing)}: looked for folders "
            f"{', '.join(image_set.domains[split][0] for split in missing)} that hold one folder a class "
            f"({', '.join(image_set.class_names[:3])}, ...).{also} {image_set.instructions}"
        )
    check_counts(image_set, {split: domain.counts(len(image_set.class_names)) for split, domain in found.items()})
    return found


def check_counts(image_set: ImageSet, counts: dict[str, tuple[int, ...]]) -> None:
    """Compares with the known totals.

    Raises:
      DataError: naming every domain and class that differs.
    """
    wrong = []
    for split, expected in image_set.counts.items():
        differ = [
            f"{name} {have} of {want}"
            for name, have, want in zip(image_set.class_names, counts[split], expected)
            if have != want
        ]
        if differ:
            wrong.append(f"{split} has {sum(counts[split]):,} of {sum(expected):,} images ({', '.join(differ)})")
    if wrong:
        raise DataError(
            f"{image_set.title} is not complete, or not the published one: {'; '.join(wrong)}. Extract or download "
            "it again; a version of your own is trained on with --pipeline=folders."
        )


def search(manual_dir: str, image_set: ImageSet) -> tuple[dict[str, FoundDomain], dict[str, str]]:
    """(best copy by split, why by archive that could not be used). Archives are opened only if folders fall short."""
    candidates: dict[str, list[FoundDomain]] = {split: [] for split in image_set.domains}
    packed = []
    for folder, folders, files in _walk(manual_dir):
        split = _split_of(folder.split(os.sep), image_set)
        labels = {name: image_set.labels[plain(name)] for name in folders if plain(name) in image_set.labels}
        if split and labels:
            candidates[split].append(_from_folder(folder, labels, set(folders) - set(labels)))
            # What is below are images; but VisDA's `train` is a domain and a class, and `train/train/` may be either.
            folders[:] = [name for name in folders if plain(name) in image_set.splits]
        packed += [os.path.join(folder, name) for name in files if archives.is_archive(name)]
    problems = {}
    if not all(any(_complete(image_set, split, c) for c in candidates[split]) for split in candidates):
        for path in sorted(packed):
            problem = _from_archive(path, image_set, candidates)
            if problem:
                problems[path] = problem
    best = {
        split: min(choices, key=lambda choice: _rank(image_set, split, choice))
        for split, choices in candidates.items()
        if choices
    }
    return best, problems


def _walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """os.walk through links, a few levels deep, each real folder once, without hidden folders."""
    top = os.path.abspath(os.path.expanduser(top))
    seen = set()
    for folder, folders, files in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _hidden(name))
        yield folder, folders, files
        if folder[len(top) :].count(os.sep) >= MAX_DEPTH:
            folders.clear()


def _split_of(parts: list[str], image_set: ImageSet) -> str | None:
    """Which domain a folder of class folders is, by its name or, if that is `images`, by the name above."""
    names = parts[:-1] if parts and plain(parts[-1]) == _BETWEEN else parts
    return image_set.splits.get(plain(names[-1])) if names else None


def _from_folder(folder: str, labels: dict[str, int], unknown: set[str]) -> FoundDomain:
    domain = FoundDomain(folder, archive=False, unknown=unknown)
    for class_folder, label in sorted(labels.items()):
        with os.scandir(os.path.join(folder, class_folder)) as entries:
            for entry in entries:
                if _is_image(entry.name) and entry.is_file():
                    domain.files.append(ImageFile(label, entry.name, entry.stat().st_size, entry.path))
    return domain


def _from_archive(path: str, image_set: ImageSet, candidates: dict[str, list[FoundDomain]]) -> str | None:
    """Adds the domains in an archive to `candidates`; returns why not, if it must not be used."""
    listing = archives.listing(path)
    if listing.problem:
        return listing.problem
    # An archive of one domain may be called like it (train.tar), or lie in a folder called like it.
    above = [os.path.basename(os.path.dirname(path)), archives.stem(os.path.basename(path))]
    labels, domains = image_set.labels, {}
    for member in listing.members:
        *root, class_name, name = [*above, *(part for part in member.path.split("/") if part not in ("", "."))]
        if not _is_image(name) or any(_hidden(part) for part in root):
            continue
        split = _split_of(root, image_set)
        if split is None:
            continue
        domain = domains.setdefault(tuple(root), (split, FoundDomain(path, archive=True)))[1]
        label = labels.get(plain(class_name))
        if label is None:
            domain.unknown.add(class_name)
        else:
            domain.files.append(ImageFile(label, name, member.size, member.place))
    for split, domain in domains.values():
        if domain.files:
            candidates[split].append(domain)
    return None


def _rank(image_set: ImageSet, split: str, domain: FoundDomain) -> tuple:
    counts, expected = domain.counts(len(image_set.class_names)), image_set.counts[split]
    missing = sum(1 for have, want in zip(counts, expected) if want and not have)
    return (
        missing + len(domain.unknown),
        abs(sum(counts) - sum(expected)),
        domain.archive,
        len(domain.path),
        domain.path,
    )


def _complete(image_set: ImageSet, split: str, domain: FoundDomain) -> bool:
    return domain.counts(len(image_set.class_names)) == image_set.counts[split]


def _order(file: ImageFile) -> tuple[int, str, str]:
    return file.label, file.name, str(file.place)


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not _hidden(name)


def _read_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def stamp(path: str) -> str:
    """When a file or a folder of class folders last changed: equal if nothing was added, removed or replaced.

    Looks at a handful of times, where a fingerprint looks at every image. Empty if there is no such path.
    """
    try:
        if os.path.isfile(path):
            times = [f"{os.stat(path).st_size} {os.stat(path).st_mtime_ns}"]
        else:
            with os.scandir(path) as entries:
                times = sorted(f"{entry.name} {entry.stat().st_mtime_ns}" for entry in entries if entry.is_dir())
    except OSError:
        return ""
    return hashlib.sha256("\n".join(times).encode()).hexdigest()


def files(manual_dir: str, wanted: Callable[[str], bool]) -> Iterator[str]:
    """Paths of the files under a folder whose names are wanted."""
    for folder, _, names in _walk(manual_dir):
        yield from (os.path.join(folder, name) for name in sorted(names) if wanted(name))
