"""Rows on their way to an output: kept as they come, bound to what made them, and put into place when whole."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from gsda_tf import storage
from gsda_tf.errors import COMMANDS, UserError
from gsda_tf.files import cell, locked, replacing

_HEAD = b'{"model": '
_EVERY = {"path", "label", "score", "error"}


def local_path(output: str) -> str:
    """Returns the file on this machine that becomes the output: itself, or one in the current folder for an address.

    The latter's name tells addresses apart that end alike.
    """
    if not storage.remote(output):
        return output
    stem, suffix = os.path.splitext(os.path.basename(output))
    return f"{stem}-{hashlib.sha256(output.encode()).hexdigest()[:8]}{suffix}"


def partial_path(output: str) -> str:
    """Returns the path of the rows of an unfinished run."""
    return f"{local_path(output)}.partial"


def describe(model: str, options: Mapping[str, bool], paths: Sequence[str]) -> dict[str, object]:
    """Returns what a partial file is bound to: its first line."""
    digest = hashlib.sha256("\0".join(paths).encode("utf-8", "surrogateescape")).hexdigest()
    images = f"{len(paths)} with SHA-256 {digest}"
    return {"model": model, "options": dict(options), "images": images}


@contextlib.contextmanager
def opened(
    output: str, made_with: Mapping[str, object], paths: Sequence[str], restart: bool
) -> Iterator[tuple[TextIO, int]]:
    """Opens the partial file of an output for more rows.

    Args:
      output: the file that is wanted in the end.
      made_with: from `describe`.
      paths: of all the images, in order.
      restart: drop what another run left.

    Yields:
      (file, rows that are there already).

    Raises:
      UserError: the partial file is of another run, or another run is writing it.
    """
    partial = partial_path(output)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(partial))
        except BlockingIOError as error:
            raise UserError(f"Another run is writing {partial}: wait for it, or choose another --output.") from error
        file = held.enter_context(open(partial, "a", encoding="utf-8", newline=""))
        done, end = _whole_rows(partial, made_with, paths, restart)
        file.truncate(end)
        if not end:
            file.write(line(made_with))
            file.flush()
        yield file, done


def _whole_rows(partial: str, made_with: Mapping[str, object], paths: Sequence[str], restart: bool) -> tuple[int, int]:
    """Returns the rows of an interrupted run, and where in the file they end; what a kill damaged comes after."""
    with open(partial, "rb") as file:
        head = file.readline()
        row = _parsed(head)
        if row is None and _HEAD.startswith(head[: len(_HEAD)]):
            return 0, 0  # empty, or what a kill has left of a first line
        if row is None or not row.keys() >= made_with.keys():
            raise UserError(
                f"{partial} is in the way: it holds no rows of {COMMANDS}.predict. Move it, or choose another --output."
            )
        other = [key for key, value in made_with.items() if row[key] != value]
        if other and restart:
            return 0, 0
        if other:
            raise UserError(
                f"{partial} was left by a run that differs in {' and '.join(other)}: give the same flags again to go "
                "on with it, or --restart to drop it."
            )
        done, end = 0, len(head)
        for line, path in zip(file, paths):
            row = _parsed(line)
            if row is None or row.get("path") != path or not row.keys() >= _EVERY:
                break
            done, end = done + 1, end + len(line)
    return done, end


def _parsed(line: bytes) -> dict | None:
    """A row, or None for a line that is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def rows(partial: str) -> Iterator[dict]:
    """Yields the rows of a partial file, one by one."""
    with open(partial, encoding="utf-8") as file:
        next(file)
        for line in file:
            yield json.loads(line)


def line(row: Mapping[str, object]) -> str:
    """Returns a row as a line of the partial file."""
    return json.dumps(row, allow_nan=False) + "\n"


def finish(output: str, class_names: Sequence[str]) -> None:
    """Turns the rows into the form asked for, beside the output, and moves them into place.

    Args:
      output: ends in .csv or .jsonl.
      class_names: of the probabilities.
    """
    # Names of files need not be Unicode.
    with replacing(output, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        write = _write_csv if output.endswith(".csv") else _write_jsonl
        write(file, partial_path(output), class_names)


def _write_csv(file: TextIO, partial: str, class_names: Sequence[str]) -> None:
    """Columns probability_<class> and feature_<k>, empty for images that could not be read; text as `files.cell`."""
    units = next((len(row["features"]) for row in rows(partial) if row.get("features")), 0)
    names = {
        "probabilities": [f"probability_{name}" for name in class_names],
        "features": [f"feature_{k}" for k in range(units)],
    }
    writer = csv.writer(file)
    for number, row in enumerate(rows(partial)):
        if number == 0:
            writer.writerow([cell(column) for key in row for column in names.get(key, [key])])
        cells = (row[key] or [""] * len(names[key]) if key in names else [cell(row[key])] for key in row)
        writer.writerow([cell for several in cells for cell in several])


def _write_jsonl(file: TextIO, partial: str, class_names: Sequence[str]) -> None:
    """Probabilities by class name, features as a list, null for images that could not be read."""
    for row in rows(partial):
        if row.get("probabilities"):
            row["probabilities"] = dict(zip(class_names, row["probabilities"]))
        file.write(json.dumps(row) + "\n")
