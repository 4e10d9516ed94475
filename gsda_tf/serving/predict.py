"""Predictions for folders of images: streamed, resumable, complete or not there; here, or on the workers of Dask."""

from __future__ import annotations

import collections
import csv
import functools
import glob
import json
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from typing import Any, NamedTuple

import numpy as np

from gsda_tf.data import image_files
from gsda_tf.data.classes import class_name
from gsda_tf.data.image_files import SUFFIXES, UNREAD_SUFFIXES
from gsda_tf.datasets.own.lists import classes_of, read_list, written_path
from gsda_tf.errors import UserError, shown
from gsda_tf.files import cell, disk_errors, read_regular
from gsda_tf.progress import progress
from gsda_tf.serving import rows
from gsda_tf.serving.model import Answers, Model, local_model
from gsda_tf.workers import DaskPool, outcome

MAX_BYTES = 200_000_000
"""A larger file is not read: as many as are in work have to fit into memory."""
_AT_ONCE = 2
"""Batches in work: while one is in the network, the next one is read and decoded."""
_BATCHES = 16
"""In what a worker of Dask is given: what one that dies loses."""
_PIECES_A_THREAD = 4
"""So many of these are with the workers at a time, for each thread of theirs; what a client that is killed loses."""


def find_images(where: str) -> list[str]:
    """Returns paths of images, sorted, or in the list's order. What is passed over is said.

    Args:
      where: an image, a folder (all below it, but for what systems leave behind), a pattern with * or ?, or a list
        file with 'path' or 'path label' a line, relative to the list.

    Raises:
      UserError: none found.
    """
    if os.path.isdir(where):
        found = _below(where)
    elif os.path.isfile(where):
        found = [where] if where.lower().endswith((*SUFFIXES, *UNREAD_SUFFIXES)) else _listed(where)
    elif glob.has_magic(where):
        folder = where
        while folder and not os.path.isdir(folder):  # brackets in the name of a folder that is there are no pattern
            folder = os.path.dirname(folder)
        matched = sorted(filter(os.path.isfile, glob.glob(glob.escape(folder) + where[len(folder) :], recursive=True)))
        found = [path for path in matched if not image_files.on_a_path_left_behind(path)]
    else:
        raise UserError(f"{shown(where)}: no such image, folder, pattern or list file.")
    if not found:
        raise UserError(f"{shown(where)} holds no images: expected files that end in {', '.join(SUFFIXES)}.")
    return found


def known_classes(where: str, paths: Sequence[str], class_names: Sequence[str]) -> list[str | None]:
    """Returns the class of each image: of its label where `where` is a list with labels, else of the folder that it
    lies in. None where nothing tells.

    Args:
      where: see `find_images`.
      paths: what it found.
      class_names: of the model, whose numbers in a list count from 0.

    Raises:
      DataError: labels of a list that are none of the model's.
    """
    if os.path.isfile(where) and [where] != list(paths) and (images := read_list(where)).known:
        return classes_of(images, class_names)
    # Below a folder the outermost counts, as in training: images may lie deeper than in their class folder.
    above = os.path.abspath(where) if os.path.isdir(where) else ""
    folders = (os.path.dirname(os.path.abspath(path)) for path in paths)
    parts = (os.path.relpath(f, above).split(os.sep) if above else [os.path.basename(f)] for f in folders)
    return [next((name for name in map(class_name, each) if name in class_names), None) for each in parts]


def accuracies(output: str, known: Sequence[str | None]) -> tuple[int, float, float]:
    """Scores the rows that `predict` has written.

    Args:
      output: .csv or .jsonl.
      known: the class of each row's image, `known_classes`.

    Returns:
      How many images could be read and have a class; the share of them that is right, and its mean over classes, NaN
      where there are none.
    """
    right: dict[str, list[bool]] = {}
    with open(output, encoding="utf-8", errors="surrogateescape", newline="") as file:
        for row, name in zip(map(json.loads, file) if output.endswith(".jsonl") else csv.DictReader(file), known):
            if name is not None and not row["error"]:
                right.setdefault(name, []).append(row["label"] in (name, cell(name)))
    each = [*right.values()]
    count = sum(map(len, each))
    if not count:
        return 0, math.nan, math.nan
    return count, sum(map(sum, each)) / count, float(np.mean([np.mean(some) for some in each]))


def _listed(path: str) -> list[str]:
    root, lines = os.path.dirname(path), read_list(path).lines
    paths = [os.path.join(root, line.path) for line in lines]
    return [p if os.path.lexists(p) else written_path(root, line.path) for p, line in zip(paths, lines)]


def _below(folder: str) -> list[str]:
    """Also images that cannot be read, which get a row that says so."""
    files = [
        os.path.join(below, name)
        for below, _, names in image_files.walk(folder, "--images", again=True)
        for name in names
    ]
    found = [path for path in files if path.lower().endswith((*SUFFIXES, *UNREAD_SUFFIXES))]
    if len(found) < len(files):
        others = image_files.not_read(set(files) - set(found))
        print(f"No images by their names, passed over in {shown(folder)}: {others}.")
    return sorted(found)


class Result(NamedTuple):
    """The outcome of a prediction run.

    Attributes:
      images: rows in the output.
      resumed: rows of them that were there from an earlier run.
      reasons: path and reason of the others that hold one in place of a label.
    """

    images: int
    resumed: int
    reasons: list[tuple[str, str]]


def predict(
    model: Model,
    paths: Sequence[str],
    output: str,
    batch: int = 64,
    wanted: Sequence[str] = (),
    pool: DaskPool | None = None,
) -> Result:
    """Writes one row an image: path, label, score, agreement if the model says it, error, and what else is asked for.

    An interrupted run goes on where it was; see `rows.written`. Besides the paths, memory does not grow with the number
    of images.

    Args:
      model: what is asked.
      paths: of the images.
      output: .csv or .jsonl.
      batch: images asked about at once.
      wanted: "probabilities", of every class, or "features", f, or both.
      pool: whose workers answer; None: this process does.

    Raises:
      UserError: an output of another kind, a full disk, another run that writes it; a worker cannot do its work, or the
        scheduler is gone.
    """
    if not output.endswith((".csv", ".jsonl")) or "://" in output:
        raise UserError(f"--output={output}: expected a path that ends in .csv or .jsonl.")
    more = {"probabilities": map("probability_{}".format, model.class_names)}
    more["features"] = map("feature_{}".format, range(model.units))
    head, reasons = ["path", "label", *model.numbers, "error", *(name for kind in wanted for name in more[kind])], []
    error = head.index("error")
    with disk_errors(f"writing {output}"):
        os.makedirs(os.path.dirname(os.path.abspath(output)), exist_ok=True)
        with (
            rows.written(output, head, model.identity, paths) as (file, done),
            progress(total=len(paths), initial=done, unit="image", desc="predict") as bar,
        ):
            if pool is None:
                made = _rows(model, paths[done:], batch, wanted)
            else:
                made = _rows_by(pool, model, paths, done, batch, wanted)
            for several in made:
                file.writelines(rows.line(output, head, row) for row in several)
                file.flush()
                reasons += [(shown(row[0]), row[error]) for row in several if row[error]]
                bar.update(len(several))
    return Result(len(paths), done, reasons)


def answered(
    model: Model, paths: Sequence[str], batch: int, features: bool, folder: str = ""
) -> Iterator[tuple[Answers, list[str]]]:
    """Yields the answers about one batch after another, in order; the next batches are in work meanwhile.

    Args:
      model: what is asked.
      paths: of the images.
      batch: images asked about at once.
      features: whether f is wanted.
      folder: what paths are relative to, if that is not the current folder.

    Yields:
      (answers, why an image has none, else "").
    """

    def answer(places: Sequence[str]) -> tuple[Answers, list[str]]:
        records, errors = map(list, zip(*readers.map(_read, places)))
        answers = model.ask(records, features)
        for i, place in enumerate(places):
            if not (errors[i] or answers["label"][i]):
                errors[i] = image_files.check_file(place) or "damaged, or too large to decode"
        return answers, errors

    readers, workers = futures.ThreadPoolExecutor(8), futures.ThreadPoolExecutor(_AT_ONCE)
    places = [os.path.join(folder, path) for path in paths] if folder else paths
    chunks = (places[start : start + batch] for start in range(0, len(paths), batch))
    try:
        for future in _in_order((workers.submit(answer, chunk) for chunk in chunks), lambda: _AT_ONCE):
            yield future.result()
    finally:
        workers.shutdown(cancel_futures=True)
        readers.shutdown(cancel_futures=True)


def _rows(
    model: Model, paths: Sequence[str], batch: int, wanted: Sequence[str], folder: str = ""
) -> Iterator[list[list[Any]]]:
    """Yields rows, as `predict` has them, a batch after another."""
    left = iter(paths)
    for answers, errors in answered(model, paths, batch, "features" in wanted, folder):
        some = []
        for i, (error, path) in enumerate(zip(errors, left)):
            numbers = [0.0 if error else _number(answers[name][i]) for name in model.numbers]
            more = [None if error else _number(value) for name in wanted for value in answers[name][i]]
            some.append([path, "" if error else answers["label"][i], *numbers, error, *more])
        yield some


def _number(value: np.float32) -> float:
    """float32 as the shortest decimals that give it back."""
    return float(f"{value:.9g}")


def _in_order(submitted: Iterable[futures.Future], most: Callable[[], int]) -> Iterator[futures.Future]:
    """Yields futures, which are made as they are asked for, in their order; `most` says how many may be at work while
    one is waited for."""
    pending: collections.deque[futures.Future] = collections.deque()
    for future in submitted:
        pending.append(future)
        while len(pending) > most():
            yield pending.popleft()
    yield from pending


def _read(path: str) -> tuple[bytes, str]:
    """Returns an image file as the model takes it and "", or nothing and why that cannot be."""
    try:
        return image_files.plain(read_regular(path, MAX_BYTES)), ""
    except OSError as error:
        return b"", f"cannot be opened: {error.strerror}"
    except (image_files.BadImageError, UserError) as error:
        return b"", str(error).removeprefix(shown(path)).strip(" .")


def _rows_by(
    pool: DaskPool, model: Model, paths: Sequence[str], done: int, batch: int, wanted: Sequence[str]
) -> Iterator[list[list[Any]]]:
    """Yields the rows behind the first `done`, in order.

    The list is cut into pieces for the workers, which see the client's folders, and each of which loads the model once.
    """
    size = batch * _BATCHES
    skipped = done % size  # pieces begin where they always do: batches are the same however often a run went on
    asked = os.path.abspath(model.path), model.identity, os.getcwd()
    pieces = (paths[first : first + size] for first in range(done - skipped, len(paths), size))
    called = (pool.call(_answer, *asked, list(piece), batch, tuple(wanted)) for piece in pieces)
    for future in _in_order(called, lambda: _PIECES_A_THREAD * pool.threads()):
        yield outcome(future, _refuse)[skipped:]
        skipped = 0


def _refuse(said: str) -> list[list[Any]]:
    raise UserError(f"A worker could not answer: {said}")


def _answer(
    where: str, identity: str, folder: str, paths: Sequence[str], batch: int, wanted: Sequence[str]
) -> list[list[Any]]:
    """On a worker: the rows of a piece."""
    if not os.path.isdir(folder):
        raise UserError(f"A worker does not see {folder}: all workers need the client's folders.")
    with _LOADING:  # a worker may have several threads
        model = _load(where)
    if model.identity != identity:
        raise UserError(f"A worker found another model at {where} than the client: all need the same.")
    return [row for several in _rows(model, paths, batch, wanted, folder) for row in several]


_LOADING, _load = threading.Lock(), functools.lru_cache(maxsize=1)(local_model)
