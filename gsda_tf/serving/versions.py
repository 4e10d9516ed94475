"""The folder of versions that TensorFlow Serving watches: one more, whole or not at all, whoever else writes."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence

from gsda_tf.files import UNFINISHED, locked, remove_unfinished

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
        taken = [
            stem for stem, _ in map(os.path.splitext, os.listdir(export_root)) if stem.isascii() and stem.isdigit()
        ]
        version = os.path.join(export_root, str(max(map(int, taken), default=0) + 1))
        finals = [version + os.path.basename(path)[len("model") :] for path in made]
        for path, final in zip(made, finals):
            os.rename(path, final)
    return finals
