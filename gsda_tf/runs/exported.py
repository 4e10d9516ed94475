"""Where an export lies: a folder of versions that are numbers, or one of them, handed on alone."""

import contextlib
import os


def versions(export_root: str) -> list[int]:
    """Returns the versions that are there, ascending."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        names = os.listdir(export_root)
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())
    return []


def find(path: str) -> str:
    """Returns the folder of an export, which `path` is, or which is the newest of the versions in it; "" if neither."""
    found = [path, *(os.path.join(path, str(version)) for version in versions(path)[-1:])]
    return next((each for each in found if os.path.exists(os.path.join(each, "saved_model.pb"))), "")
