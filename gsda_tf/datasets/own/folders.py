"""Own data in two folders: one folder a class, or target images without labels in whatever folders."""

from __future__ import annotations

import collections
import dataclasses
import difflib
import os
import re
from collections.abc import Sequence

from gsda_tf.data.classes import Brought, class_name, listed, own_task
from gsda_tf.data.domain import TaskData
from gsda_tf.data.image_files import SUFFIXES, is_image, not_read, walk
from gsda_tf.data.records import FileRecords
from gsda_tf.errors import DataError, UserError, shown
from gsda_tf.settings import DataSettings, several

_PARTS = re.compile(r"train(ing)?|val(id(ation)?)?|test(ing)?|eval", re.IGNORECASE)
_NO_CLASS = re.compile(
    rf"(19|20)\d\d([-_.]?\d\d)*|{_PARTS.pattern}|images?|imgs?|photos?|raw|originals?|jpe?gs?|pngs?", re.IGNORECASE
)
"""Names of folders that are no classes: years and days, the parts of a set, kinds of files."""
_SHOWN = 4
_ALIKE = 0.8


@dataclasses.dataclass(frozen=True)
class _Tree:
    """Paths of the files of a domain.

    Attributes:
      flag: that names it.
      root: its folder; of the official layouts that put an `images` level into it, that.
      tops: for each folder in there, the images in and below it.
      loose: images beside these folders.
      others: files that are not read.
    """

    flag: str
    root: str
    tops: dict[str, list[str]]
    loose: list[str]
    others: list[str]

    def __str__(self) -> str:
        return listed([*map(shown, self.tops)])

    def inner(self, path: str) -> list[str]:
        """The folders between a folder of the root and an image in it."""
        return path[len(self.root) :].strip(os.sep).split(os.sep)[1:-1]

    def remarks(self, labelled: bool) -> list[str]:
        """Tells the files that are not read, and, where folders are classes, those from further down."""
        said = []
        if self.others:
            said.append(f"Not read in --{self.flag}, as no images by their names: {not_read(self.others)}.")
        deep = sum(bool(self.inner(path)) for paths in self.tops.values() for path in paths)
        if deep and labelled:
            said.append(f"{deep:,} images of --{self.flag} lie in folders below their class folder.")
        return said


def load(settings: DataSettings, known: tuple[str, ...] = ()) -> TaskData:
    """The task of `--pipeline=folders`.

    Args:
      settings: `source_dir` and `target_dir`.
      known: classes of the run that is adapted without a source, which then is empty; () with one.

    Returns:
      Classes in the order of their names, images in the order of class and path.

    Raises:
      UserError: a flag is missing.
      DataError: the folders are not as expected.
    """
    for flag in ("target_dir",) if known else ("source_dir", "target_dir"):
        if not getattr(settings, flag):
            raise UserError(f"--pipeline=folders needs --{flag}=DIR: a folder with one folder of images a class.")
    roots = () if known else several(settings.source_dir)
    sources, target = [_read("source_dir", root) for root in roots], _read("target_dir", settings.target_dir)
    remarks: list[str] = []
    by_place = []
    for source in sources:
        for tree, other in ((source, target), (target, source)):
            _refuse_level(tree, other, source.tops)
        by_place.append(_classes(source, remarks))
        if not by_place[-1]:
            raise DataError(
                f"--source_dir={shown(source.root)} holds {len(source.loose)} images but no class folders: "
                "expected one folder of images a class, whose name is the label."
            )
    names = known or tuple(sorted({name for each in by_place for name in each}))
    rest = target.loose + _unlabelled(target, settings.unlabelled_folder, names)
    target_classes = {}
    if _without_classes(target, names):
        rest += [path for name in target.tops for path in target.tops[name]]
        remarks.append(
            f"No folder of --target_dir ({target}) is a class of the source: its {len(rest):,} images are taken as a "
            "target without labels."
        )
    else:
        target_classes = _classes(target, remarks)
    for tree in (*sources, target):
        remarks += tree.remarks(tree is not target or bool(target_classes))
    brought = _brought(roots, by_place), _brought([settings.target_dir], [{**target_classes, None: rest}])
    return own_task("folders", *brought, names, settings, remarks)


def _unlabelled(target: _Tree, name: str, classes: tuple[str, ...]) -> list[str]:
    """Takes the folder of images without a label out of a target that has others beside it: their paths."""
    if name in target.tops and name not in classes and len(target.tops) > 1:
        return target.tops.pop(name)
    if name != DataSettings.unlabelled_folder and name not in target.tops:
        raise DataError(
            f"--unlabelled_folder={name}: --{target.flag}={shown(target.root)} has no such folder, but "
            f"{str(target) or 'none'}."
        )
    return []


def _read(flag: str, root: str) -> _Tree:
    tops, others = {}, []
    for folder, folders, names in walk(root, f"--{flag}"):
        if not tops:
            if folders == ["images"] and not any(map(is_image, names)):
                return _read(flag, os.path.join(root, "images"))
            tops = {name: [] for name in (os.curdir, *folders)}
        top, *_ = os.path.relpath(folder, root).split(os.sep)
        tops[top] += [os.path.join(folder, name) for name in names if is_image(name)]
        others += [os.path.join(folder, name) for name in names if not is_image(name)]
    tree = _Tree(flag, root, tops, tops.pop(os.curdir), others)
    if not tree.loose and not any(tops.values()):
        raise DataError(
            f"--{flag}={shown(root)} holds no images: expected one folder a class with files named "
            f"{', '.join(SUFFIXES)} in it.{' '.join(['', *tree.remarks(False)])}"
        )
    return tree


def _refuse_level(tree: _Tree, other: _Tree, classes: Sequence[str]) -> None:
    """A folder of domains, or of the parts of a set, in place of a domain would make classes of them.

    It looks as class folders do whose images lie a level down, by day or camera: names tell the two apart.

    Args:
      tree: that may be one level too high.
      other: domain.
      classes: folders of the source.
    """
    levels = {(top, *tree.inner(path)) for top, paths in tree.tops.items() for path in paths}
    if any(len(level) == 1 for level in levels):  # images in a class folder
        return
    pairs = {(top, *(inner[1:] if inner[0] == "images" else inner)[:1]) for top, *inner in levels}
    below = collections.Counter(name for _, *names in pairs for name in names)
    repeated = {name for name, count in below.items() if count > 1 or len(tree.tops) == 1 or name in other.tops}
    shared = {name for name in repeated if not _NO_CLASS.fullmatch(name)}
    shared &= {*(shared if tree.flag == "source_dir" else classes)}
    parts = below and all(map(_PARTS.fullmatch, tree.tops))
    if parts or (shared and not {*tree.tops} & {*other.tops}):
        choices = ", ".join(shown(os.path.join(tree.root, name)) for name in list(tree.tops)[:_SHOWN])
        raise DataError(
            f"--{tree.flag}={shown(tree.root)} is one level too high, or its folders are classes by accident: "
            f"{tree} hold no images but folders, {listed(sorted(shared or below))}, which look like the "
            f"classes. Choose one of these: {choices}. If {tree} are the classes, lay their images right "
            "into them, or use --pipeline=lists."
        )


def _without_classes(target: _Tree, names: tuple[str, ...]) -> bool:
    """True if there are folders, and none is a class of the source, nor looks like one that is written otherwise."""
    known, tops = [name.casefold() for name in names], [class_name(name).casefold() for name in target.tops]
    return bool(tops) and not any(difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE) for name in tops)


def _classes(tree: _Tree, remarks: list[str]) -> dict[str, list[str]]:
    """Paths by class name; empty if the domain is flat. Names that are no Unicode are remarked upon."""
    if not any(tree.tops.values()):
        return {}
    if tree.loose:
        raise DataError(
            f"--{tree.flag}={shown(tree.root)} holds both images ({shown(tree.loose[0])}) and class folders "
            f"({shown(next(iter(tree.tops)))}): expected one or the other."
        )
    classes: dict[str, list[str]] = {}
    for name, images in tree.tops.items():
        if not images:
            others = not_read(path for path in tree.others if path.startswith(os.path.join(tree.root, name, "")))
            raise DataError(
                f"Class {name!r} of --{tree.flag} is empty: {shown(os.path.join(tree.root, name))} holds no images "
                f"that can be read{others and f', but {others}'}. Put images there or remove the folder."
            )
        plain = class_name(name)
        if plain in classes:
            raise DataError(f"--{tree.flag} has two folders for class {plain!r}: expected one.")
        classes[plain] = images
    coded = [
        f"{shown(name)} is {class_name(name)}"
        for name in tree.tops
        if not name.isprintable() and class_name(name) != name
    ]
    if coded:
        remarks.append(f"Names of --{tree.flag} are no UTF-8 and were read as Windows 1252: {listed(coded)}.")
    return classes


def _brought(roots: Sequence[str], by_place: Sequence[dict[str | None, list[str]]]) -> Brought:
    """Images of several folders, by class in each; those without a class stand under None."""
    counts = [sum(map(len, each.values())) for each in by_place]
    rows = [(path, name) for each in by_place for name, paths in each.items() for path in paths]
    paths, classes = [path for path, _ in rows], [name for _, name in rows]
    return Brought(roots, counts, FileRecords(paths), classes, lambda i: shown(paths[i]))
