"""Rows on their way to an output: kept as they come, bound to what made them, and put into place when whole."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TextIO

from gsda_tf.errors import UserError, shown
from gsda_tf.files import cell, locked, replacing


def partial_path(output: str) -> str:
    """Returns the path of the rows of an unfinished run."""
    return f"{output}.partial"


def bound_to(model: str, wanted: Collection[str], paths: Sequence[str]) -> str:
    """Returns what a partial file is bound to: its first line."""
    digest = hashlib.sha256("\0".join(paths).encode("utf-8", "surrogateescape")).hexdigest()
    return line({"model": model, "wanted": sorted(wanted), "images": f"{len(paths)} with SHA-256 {digest}"})


@contextlib.contextmanager
def opened(output: str, first: str, paths: Sequence[str]) -> Iterator[tuple[TextIO, int]]:
    """Opens the partial file of an output for more rows.

    Args:
      output: the file that is wanted in the end.
      first: line, from `bound_to`.
      paths: of all the images, in order.

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
        done, end = _whole_rows(partial, first.encode(), paths)
        file.truncate(end)
        if not end:
            file.write(first)
            file.flush()
        yield file, done


def _whole_rows(partial: str, first: bytes, paths: Sequence[str]) -> tuple[int, int]:
    """Returns the rows of an interrupted run, and where in the file they end; what a kill damaged comes after."""
    with open(partial, "rb") as file:
        head = file.readline()
        if head != first:
            if first.startswith(head):
                return 0, 0  # empty, or what a kill has left of a first line
            raise UserError(
                f"{partial} is in the way: it was left by a run of another model, other images or other flags, or is "
                "none of ours. Give the same again to go on with it, or remove it."
            )
        done, end = 0, len(head)
        for text, path in zip(file, paths):
            if not _is_row(text, path):
                break
            done, end = done + 1, end + len(text)
    return done, end


def _is_row(text: bytes, path: str) -> bool:
    try:
        return text.endswith(b"\n") and json.loads(text)["path"] == path
    except (ValueError, TypeError, LookupError):
        return False


def line(row: Mapping[str, object]) -> str:
    """Returns a row as a line of the partial file."""
    return json.dumps(row, allow_nan=False) + "\n"


def finish(output: str, class_names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Turns the rows into the form asked for, beside the output, and moves them into place.

    Args:
      output: ends in .csv or .jsonl.
      class_names: of the probabilities.

    Returns:
      Path and reason of each image that could not be read.
    """
    partial = partial_path(output)
    # Names of files need not be Unicode.
    with replacing(output, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        write = _write_csv if output.endswith(".csv") else _write_jsonl
        write(file, partial, class_names)
    reasons = tuple((shown(row["path"]), row["error"]) for row in _rows(partial) if row["error"])
    os.remove(partial)
    return reasons


def _rows(partial: str) -> Iterator[dict]:
    """Yields the rows of a partial file, one by one."""
    with open(partial, encoding="utf-8") as file:
        next(file)
        yield from map(json.loads, file)


def _write_csv(file: TextIO, partial: str, class_names: Sequence[str]) -> None:
    """Columns probability_<class> and feature_<k>, empty for images that could not be read; text as `files.cell`."""
    units = next((len(row["features"]) for row in _rows(partial) if row.get("features")), 0)
    names = {
        "probabilities": [f"probability_{name}" for name in class_names],
        "features": [f"feature_{k}" for k in range(units)],
    }
    writer = csv.writer(file)
    for number, row in enumerate(_rows(partial)):
        if number == 0:
            writer.writerow([cell(column) for key in row for column in names.get(key, [key])])
        cells = (row[key] or [""] * len(names[key]) if key in names else [cell(row[key])] for key in row)
        writer.writerow([cell for several in cells for cell in several])


def _write_jsonl(file: TextIO, partial: str, class_names: Sequence[str]) -> None:
    """Probabilities by class name, features as a list, null for images that could not be read."""
    for row in _rows(partial):
        if row.get("probabilities"):
            row["probabilities"] = dict(zip(class_names, row["probabilities"]))
        file.write(json.dumps(row) + "\n")
