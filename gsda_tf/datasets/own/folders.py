"""Own data in two folders: one folder a class, or target images without labels in whatever folders."""

from __future__ import annotations

import collections
import dataclasses
import difflib
import itertools
import os
import re
from collections.abc import Sequence

from gsda_tf.data.classes import Brought, class_name, listed, own_task
from gsda_tf.data.domain import TaskData
from gsda_tf.data.image_files import SUFFIXES, Folder, ending, look, not_read, walk
from gsda_tf.data.records import FileRecords
from gsda_tf.errors import DataError, UserError, shown
from gsda_tf.settings import DataSettings, several

_NO_CLASS = re.compile(
    r"(19|20)\d\d([-_.]?\d\d)*|train(ing)?|val(id(ation)?)?|test(ing)?|eval|images?|imgs?|photos?|raw|originals?|"
    r"jpe?gs?|pngs?",
    re.IGNORECASE,
)
"""Names of folders that are no classes: years and days, the parts of a set, kinds of files."""
_PARTS = re.compile(r"train(ing)?|val(id(ation)?)?|test(ing)?|eval", re.IGNORECASE)
_SHOWN = 4
_ALIKE = 0.8


@dataclasses.dataclass(frozen=True)
class _Tree:
    """All of a domain's folders.

    Attributes:
      flag: that names it.
      root: its folder; of the official layouts that put an `images` level into it, that.
      tops: for each folder in there, by name, it and all below it.
    """

    flag: str
    root: Folder
    tops: dict[str, list[Folder]]

    def __str__(self) -> str:
        return listed([*map(shown, self.tops)])

    def images(self, name: str) -> list[str]:
        """Paths of all images in and below a folder of the root."""
        return [path for folder in self.tops[name] for path in folder.paths()]

    def below(self, name: str) -> Folder:
        """Returns a folder of the root; its `images`, if that is all it holds."""
        top, *more = self.tops[name]
        return more[0] if top.folders == ("images",) and not top.images else top

    def remarks(self, labelled: bool = True) -> list[str]:
        """Tells the files that are not read, and, where folders are classes, those from further down."""
        all_folders = [self.root, *(folder for folders in self.tops.values() for folder in folders)]
        others = collections.Counter(ending(name) for folder in all_folders for name in folder.others)
        said = [f"Not read in --{self.flag}, as no images by their names: {not_read(others)}."] if others else []
        deep = sum(len(folder.images) for folders in self.tops.values() for folder in folders[1:])
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
        _refuse_level(source, target)
        by_place.append(_classes(source, remarks))
        if not by_place[-1]:
            raise DataError(
                f"--source_dir={shown(source.root.path)} holds {len(source.root.images)} images but no class folders: "
                "expected one folder of images a class, whose name is the label."
            )
    names = known or tuple(sorted({name for each in by_place for name in each}))
    rest = target.root.paths() + _unlabelled(target, settings.unlabelled_folder, names)
    target_classes = {}
    if _without_classes(target, names):
        rest += [path for name in target.tops for path in target.images(name)]
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
        paths = target.images(name)
        del target.tops[name]
        return paths
    if name != DataSettings.unlabelled_folder and name not in target.tops:
        raise DataError(
            f"--unlabelled_folder={name}: --{target.flag}={shown(target.root.path)} has no such folder, but "
            f"{str(target) or 'none'}."
        )
    return []


def _read(flag: str, path: str) -> _Tree:
    root = look(path, f"--{flag}")
    if root.folders == ("images",) and not root.images:
        root = look(os.path.join(path, "images"), f"--{flag}")
    real, tops, seen = os.path.realpath(root.path), {}, {}
    for name in root.folders:
        folder = look(os.path.join(root.path, name), f"--{flag}")
        above = os.path.realpath(folder.path)
        if os.path.commonpath([real, above]) == above:
            raise DataError(
                f"The symbolic link {shown(folder.path)} in --{flag} leads back to {shown(above)}: remove it."
            )
        tops[name] = list(walk(folder, f"--{flag}", seen))
    tree = _Tree(flag, root, tops)
    if not root.images and not any(map(tree.images, tops)):
        raise DataError(
            f"--{flag}={shown(path)} holds no images: expected one folder a class with files named "
            f"{', '.join(SUFFIXES)} in it.{' '.join(['', *tree.remarks()])}"
        )
    return tree


def _refuse_level(source: _Tree, target: _Tree) -> None:
    """A folder of domains, or of the parts of a set, in place of a domain would make classes of them.

    It looks as class folders do whose images lie a level down, by day or camera: names tell the two apart.
    """
    for tree, other in ((source, target), (target, source)):
        if not tree.tops or any(folders[0].images for folders in tree.tops.values()):
            continue
        below = collections.Counter(name for top in tree.tops for name in tree.below(top).folders)
        repeated = {name for name, count in below.items() if count > 1 or len(tree.tops) == 1 or name in other.tops}
        shared = {
            name for name in repeated if not _NO_CLASS.fullmatch(name) and (tree is source or name in source.tops)
        }
        parts = below and all(map(_PARTS.fullmatch, tree.tops))
        if not parts and (not shared or set(tree.tops) & set(other.tops)):
            continue
        choices = ", ".join(shown(folders[0].path) for folders in list(tree.tops.values())[:_SHOWN])
        raise DataError(
            f"--{tree.flag}={shown(tree.root.path)} is one level too high, or its folders are classes by accident: "
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
    images = {name: tree.images(name) for name in tree.tops}
    empty = [name for name, paths in images.items() if not paths]
    if len(empty) == len(images):
        return {}
    if tree.root.images:
        raise DataError(
            f"--{tree.flag}={shown(tree.root.path)} holds both images ({shown(tree.root.images[0])}) and class folders "
            f"({shown(tree.root.folders[0])}): expected one or the other."
        )
    if empty:
        others = collections.Counter(ending(name) for folder in tree.tops[empty[0]] for name in folder.others)
        held = f", but {not_read(others)}" if others else ""
        raise DataError(
            f"Class {empty[0]!r} of --{tree.flag} is empty: {shown(tree.tops[empty[0]][0].path)} holds no images that "
            f"can be read{held}. Put images there or remove the folder."
        )
    classes: dict[str, list[str]] = {}
    for name, paths in images.items():
        plain = class_name(name)
        if plain in classes:
            raise DataError(f"--{tree.flag} has two folders for class {plain!r}: expected one.")
        classes[plain] = paths
    coded = [
        f"{shown(name)} is {class_name(name)}"
        for name in images
        if not name.isprintable() and class_name(name).isprintable()
    ]
    if coded:
        remarks.append(f"Names of --{tree.flag} are no UTF-8 and were read as Windows 1252: {listed(coded)}.")
    return classes


def _brought(roots: Sequence[str], by_place: Sequence[dict[str | None, list[str]]]) -> Brought:
    """Images of several folders, by class in each; those without a class stand under None."""
    images = [[(path, name) for name, paths in each.items() for path in paths] for each in by_place]
    paths, classes = zip(*itertools.chain(*images)) if images else ((), ())
    return Brought(roots, [*map(len, images)], FileRecords(paths), classes, lambda i: shown(paths[i]))
