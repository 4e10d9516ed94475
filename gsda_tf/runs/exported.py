"""Where an export lies: a folder of versions that are numbers, which TensorFlow Serving watches, or one of them, handed
on alone. A version is there whole or not at all, whoever else writes."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence

from gsda_tf.files import UNFINISHED, locked, remove_unfinished


def versions(export_root: str) -> list[int]:
    """Returns the versions that are there, folders or files such as 1.keras, ascending."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        names = {name.partition(".")[0] for name in os.listdir(export_root)}
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())
    return []


def find(path: str) -> str:
    """Returns the folder of an export, which `path` is, or which is the newest of the versions in it; "" if neither."""
    found = [path, *(os.path.join(path, str(version)) for version in versions(path)[::-1])]
    return next((each for each in found if os.path.exists(os.path.join(each, "saved_model.pb"))), "")


LABELS = ".labels.txt"
"""Ending of the file with the class names, beside the files of a version."""


@contextlib.contextmanager
def writing_folder(export_root: str) -> Iterator[str]:
    """Makes a folder beside the versions to write the next one in; removed at the end, with those of killed exports.

    Its owner holds a lock on it, which the kernel lets go of when the owner dies.

    Args:
      export_root: folder of the versions; made if it is not there.

    Yields:
      The folder's absolute path.
    """
    export_root = os.path.abspath(export_root)
    os.makedirs(export_root, exist_ok=True)
    with contextlib.ExitStack() as locks:
        # Between making a folder and locking it nobody may look for stale ones.
        with locked(export_root, os.O_RDONLY, wait=True):
            remove_unfinished(export_root)
            aside = os.path.join(export_root, UNFINISHED + secrets.token_hex(8))
            os.mkdir(aside)
            locks.enter_context(locked(aside, os.O_RDONLY))
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def place(made: Sequence[str], export_root: str) -> list[str]:
    """Moves a whole export to `export_root/<version>`, one more than the highest version there.

    Args:
      made: its folder, its files, or both, all called "model"; a file keeps its ending: <version>.keras.
      export_root: folder of the versions.

    Returns:
      Where they are now.
    """
    with locked(os.path.abspath(export_root), os.O_RDONLY, wait=True):
        version = os.path.join(export_root, str(max(versions(export_root), default=0) + 1))
        finals = [version + os.path.basename(path)[len("model") :] for path in made]
        for path, final in zip(made, finals):
            os.rename(path, final)
    return finals
