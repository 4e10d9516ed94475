"""Writes the rows of an output: each is kept as it comes, so that a stopped command goes on, and the file is put into
place when it is whole."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from gsda_tf.errors import UserError
from gsda_tf.files import cell, locked


@contextlib.contextmanager
def written(output: str, head: Sequence[str], made_with: str, paths: Sequence[str]) -> Iterator[tuple[TextIO, int]]:
    """Opens a file for the rows of an output, which takes its place when the block ends.

    Until then it is called `<output>.<digest>.partial`, by all that its rows follow from: an interrupted run finds what
    it left, and no other.

    Args:
      output: .csv or .jsonl.
      head: names of the columns, "path" first.
      made_with: tells the model from others.
      paths: of all the images, in order.

    Yields:
      (file, rows that are there already).

    Raises:
      UserError: another run is writing it.
    """
    bound = "\0".join((made_with, *head, "", *paths)).encode("utf-8", "surrogateescape")
    partial = f"{output}.{hashlib.sha256(bound).hexdigest()[:16]}.partial"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(partial))
        except BlockingIOError as error:
            raise UserError(f"Another run is writing {partial}: wait for it, or choose another --output.") from error
        # Names of files need not be Unicode.
        file = held.enter_context(open(partial, "a", encoding="utf-8", errors="surrogateescape", newline=""))
        first = line(output, head, head) if output.endswith(".csv") else ""
        done, end = _whole_rows(partial, output, first, paths)
        file.truncate(end)
        file.write("" if end else first)
        yield file, done
        file.flush()
        os.fsync(file.fileno())
        os.replace(partial, output)


def _whole_rows(partial: str, output: str, first: str, paths: Sequence[str]) -> tuple[int, int]:
    """Returns the rows of an interrupted run, and where in the file they end; what a kill damaged comes after."""
    with open(partial, "rb") as file:
        if file.read(len(first.encode())) != first.encode():
            return 0, 0
        done, end = 0, len(first.encode())
        for text, path in zip(file, paths):
            begins = line(output, ["path"], [path])[:-2].encode("utf-8", "surrogateescape")
            if not (text.startswith(begins + b",") and text.endswith(b"\n")):
                break
            done, end = done + 1, end + len(text)
    return done, end


def line(output: str, head: Sequence[str], row: Sequence[Any]) -> str:
    """Returns a row as a line: of a .csv with text as `files.cell`, of a .jsonl with every name as it is."""
    if output.endswith(".jsonl"):
        return json.dumps(dict(zip(head, row)), allow_nan=False) + "\n"
    text = io.StringIO()
    csv.writer(text).writerow(map(cell, row))
    return text.getvalue()
