"""Own data in two folders: one folder a class, or a flat folder of unlabelled target images."""

from __future__ import annotations

import dataclasses
import difflib
import errno
import os
import re
import unicodedata

import numpy as np

from gsda_tf.data.checking import shown
from gsda_tf.data.domain import UNLABELLED, Domain, FileRecords, TaskData
from gsda_tf.errors import DataError, UserError
from gsda_tf.settings import DataSettings

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp")


@dataclasses.dataclass(frozen=True)
class Folder:
    """What lies directly in a folder, hidden things left out; names sorted.

    Attributes:
      path: of the folder.
      images: names of the files that look like images.
      folders: names of the folders, symbolic links to folders included.
    """

    path: str
    images: tuple[str, ...]
    folders: tuple[str, ...]

    def paths(self) -> list[str]:
        """Paths of the images."""
        return [os.path.join(self.path, name) for name in self.images]


def load_folders(settings: DataSettings) -> TaskData:
    """The task of `--pipeline=folders`.

    Args:
      settings: `source_dir` and `target_dir`.

    Returns:
      Classes in the order of their names, images in the order of class and name.

    Raises:
      UserError: a flag is missing.
      DataError: the folders are not as expected.
    """
    roots = {"source_dir": settings.source_dir, "target_dir": settings.target_dir}
    for flag, root in roots.items():
        if not root:
            raise UserError(f"--pipeline=folders needs --{flag}=DIR: a folder with one folder of images a class.")
    source, target = (_open_domain(flag, root) for flag, root in roots.items())
    classes = _classes(source, "source_dir")
    if not classes:
        raise DataError(
            f"--source_dir={shown(source.path)} holds {len(source.images)} images but no class folders: expected one "
            "folder of images a class, whose name is the label."
        )
    names = tuple(sorted(classes))
    refuse_single(names, f"--source_dir={shown(source.path)}")
    target_classes = _classes(target, "target_dir")
    _refuse_same(source.path, target.path)
    _refuse_shared(classes, target_classes)
    for name in target_classes:
        if name not in classes:
            raise DataError(lacking(name, names, f"{shown(target.path)}/{shown(name)}"))
    return TaskData(
        name=f"folders/{plain_name(settings.source_dir)}_{plain_name(settings.target_dir)}",
        source=_domain(settings.source_dir, classes, names),
        target=_domain(settings.target_dir, target_classes, names) if target_classes else _unlabelled(target),
        class_names=names,
    )


def lacking(name: str, names: tuple[str, ...], where: str) -> str:
    """The message that a class of the target is none of the source's."""
    near = difflib.get_close_matches(name.casefold(), [n.casefold() for n in names], n=1)
    hint = "".join(f" The nearest there is {n!r}." for n in names if near and n.casefold() == near[0])
    return (
        f"The target's class {name!r} ({where}) is not a class of the source, which has {len(names)}: "
        f"{', '.join(names[:8])}{', ...' if len(names) > 8 else ''}.{hint} Rename it or leave it out: the classes of "
        "the target must be among the source's."
    )


def refuse_single(names: tuple[str, ...], where: str) -> None:
    """There is nothing to tell apart in one class."""
    if len(names) == 1:
        raise DataError(f"{where} has 1 class, {names[0]!r}: expected at least 2.")


def plain_name(path: str) -> str:
    """The last parts of a path that tell what it is, fit for a name of a run."""
    parts = [part for part in os.path.abspath(path).split(os.sep) if part]
    if len(parts) > 1 and parts[-1].lower() == "images":
        parts.pop()
    return re.sub(r"[^\w.-]+", "-", os.path.splitext(parts[-1])[0] if parts else "root").strip("-.") or "data"


def look(path: str, what: str) -> Folder:
    """What lies in a folder.

    Args:
      path: of the folder.
      what: what the message calls it.

    Raises:
      DataError: it is not there, no folder, cannot be read, or holds links that lead nowhere.
    """
    images, folders = [], []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry, what):
                    folders.append(entry.name)
                elif entry.name.lower().endswith(SUFFIXES):
                    images.append(entry.name)
    except OSError as error:
        reason = {
            errno.ENOENT: "does not exist",
            errno.ENOTDIR: "is a file",
            errno.ELOOP: "is a symbolic link that leads back to itself",
        }.get(error.errno, f"cannot be read ({error.strerror})")
        raise DataError(f"{what} {shown(path)} {reason}: expected a folder that can be read.") from error
    return Folder(path, tuple(sorted(images)), tuple(sorted(folders)))


def _is_folder(entry: os.DirEntry, what: str) -> bool:
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        if not entry.is_symlink() or entry.name.lower().endswith(SUFFIXES):
            return False  # An image that cannot be read: told with the others.
        reason = "leads back to itself" if error.errno == errno.ELOOP else "leads nowhere"
        raise DataError(f"The symbolic link {shown(entry.path)} in {what} {reason}: mend or remove it.") from error
    return os.path.stat.S_ISDIR(mode)


def _open_domain(flag: str, root: str) -> Folder:
    """A domain's folder; of the official layouts that put an `images` level into it, what is in there."""
    folder = look(root, f"--{flag}")
    if folder.folders == ("images",) and not folder.images:
        folder = look(os.path.join(root, "images"), f"--{flag}")
    if not folder.folders and not folder.images:
        raise DataError(
            f"--{flag}={shown(root)} holds no images: expected one folder a class with files named "
            f"{', '.join(SUFFIXES)} in it."
        )
    return folder


def _refuse_same(source: str, target: str) -> None:
    real_source, real_target = os.path.realpath(source), os.path.realpath(target)
    common = os.path.commonpath([real_source, real_target])
    if real_source == real_target:
        raise DataError(
            f"--source_dir and --target_dir are the same folder, {shown(real_source)}: expected the images of two "
            "domains."
        )
    if common in (real_source, real_target):
        inner, outer = ("target", "source") if common == real_source else ("source", "target")
        raise DataError(
            f"--{inner}_dir lies inside --{outer}_dir ({shown(common)}), so images would be in both domains: expected "
            "two folders side by side."
        )


def _refuse_shared(source: dict[str, Folder], target: dict[str, Folder]) -> None:
    """Folders that lie apart may still be linked to the same place."""
    reals = {os.path.realpath(folder.path): folder.path for folder in source.values()}
    for folder in target.values():
        real = os.path.realpath(folder.path)
        if real in reals:
            raise DataError(
                f"{shown(reals[real])} of the source and {shown(folder.path)} of the target are the same folder, "
                f"{shown(real)}: expected the images of two domains."
            )


def _classes(domain: Folder, flag: str) -> dict[str, Folder]:
    """The class folders by class name; empty if the domain is flat."""
    folders = {name: look(os.path.join(domain.path, name), f"--{flag}") for name in domain.folders}
    _refuse_loops(domain, folders, flag)
    empty = [name for name, folder in folders.items() if not folder.images]
    if folders and len(empty) == len(folders):
        _refuse_level(domain, folders, flag)
        if domain.images:
            return {}
    if domain.images and folders:
        raise DataError(
            f"--{flag}={shown(domain.path)} holds both images ({shown(domain.images[0])}) and class folders "
            f"({shown(domain.folders[0])}): expected one or the other."
        )
    if empty:
        first = folders[empty[0]]
        held = f"{len(first.folders)} folders but no images" if first.folders else "no images"
        others = f" (and so are {', '.join(map(repr, empty[1:5]))})" if len(empty) > 1 else ""
        raise DataError(
            f"Class {empty[0]!r} of --{flag} is empty{others}: {shown(first.path)} holds {held}. Put images there or "
            "remove the folder."
        )
    classes: dict[str, Folder] = {}
    for name, folder in folders.items():
        # Copies of one data set write the same accent in one character or in two.
        plain = unicodedata.normalize("NFC", name)
        if plain in classes:
            raise DataError(f"--{flag} has two folders for class {plain!r}: expected one.")
        classes[plain] = folder
    return classes


def _refuse_loops(domain: Folder, folders: dict[str, Folder], flag: str) -> None:
    seen: dict[str, str] = {}
    root = os.path.realpath(domain.path)
    for name, folder in folders.items():
        real = os.path.realpath(folder.path)
        if os.path.commonpath([root, real]) == real:
            raise DataError(
                f"The symbolic link {shown(folder.path)} in --{flag} leads back to {shown(real)}: remove it."
            )
        if real in seen:
            raise DataError(
                f"Classes {seen[real]!r} and {name!r} of --{flag} are the same folder, {shown(real)}: expected one "
                "folder for each class."
            )
        seen[real] = name


def _refuse_level(domain: Folder, folders: dict[str, Folder], flag: str) -> None:
    """A folder of domains instead of a domain would make classes of the domains."""
    for folder in folders.values():
        for name in folder.folders:
            below = look(os.path.join(folder.path, name), f"--{flag}")
            if below.images or below.folders:
                choices = ", ".join(shown(f.path) for f in list(folders.values())[:4])
                raise DataError(
                    f"--{flag}={shown(domain.path)} is one level too high: its folders hold folders, not images. "
                    f"Choose one of these: {choices}."
                )


def _domain(root: str, classes: dict[str, Folder], names: tuple[str, ...]) -> Domain:
    paths, labels = [], []
    for label, name in enumerate(names):
        images = classes[name].paths() if name in classes else []
        paths += images
        labels += [label] * len(images)
    return Domain(plain_name(root), FileRecords(paths), np.asarray(labels, np.int32))


def _unlabelled(folder: Folder) -> Domain:
    return Domain(
        plain_name(folder.path), FileRecords(folder.paths()), np.full(len(folder.images), UNLABELLED, np.int32)
    )
