"""Predictions for folders of images: streamed, resumable, complete or not there."""

from __future__ import annotations

import collections
import dataclasses
import glob
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent import futures

import numpy as np

from gsda_tf import storage
from gsda_tf.data import image_files
from gsda_tf.data.classes import class_name
from gsda_tf.data.image_files import SUFFIXES, UNREAD_SUFFIXES
from gsda_tf.datasets.own.lists import ImageList, classes_of, parse_list, read_list, written_path
from gsda_tf.errors import UserError, shown
from gsda_tf.files import disk_errors, read_regular
from gsda_tf.progress import progress
from gsda_tf.serving import rows
from gsda_tf.serving.model import Answers, Model

MAX_BYTES = 200_000_000
"""A larger file is not read: as many as are in work have to fit into memory."""

Spread = Callable[[Model, str, Sequence[str], int, int, Mapping[str, bool]], Iterator[list[str]]]
"""(model, folder of the output, paths, rows that are there, batch, options) -> the rows that are missing."""
_AT_ONCE = 2
# Batches in work: while one is in the network, the next one is read and decoded.


def find_images(where: str) -> list[str]:
    """Returns paths of images, sorted, or in the list's order. What is passed over is said.

    Args:
      where: an image, a folder (all below it, but for what systems leave behind), a pattern with * or ?, or a list
        file with 'path' or 'path label' a line, relative to the list; or the address of such a folder, pattern or list
        (.txt) in object storage, where hidden files are left out.

    Raises:
      UserError: none found.
    """
    images = _list_at(where)
    if images is not None:
        found = _listed(images)
    elif storage.remote(where):
        found = storage.find(where, (*SUFFIXES, *UNREAD_SUFFIXES))
    elif os.path.isdir(where):
        found = _below(where)
    elif os.path.isfile(where):
        found = [where]
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
    """The class of each image: of its label where `where` is a list with labels, else of the folder that it lies in.

    Args:
      where: see `find_images`.
      paths: what it found.
      class_names: of the model, whose numbers in a list count from 0.

    Returns:
      Names, as the model has them where it has them; None where nothing tells.

    Raises:
      DataError: labels of a list that are none of the model's.
    """
    images = _list_at(where)
    if images is not None and images.known:
        return classes_of(images, class_names)
    # Below a folder the outermost counts, as in training: images may lie deeper than in their class folder.
    above = os.path.dirname(os.path.abspath(where)) if os.path.isdir(where) else ""
    return [_folder_class(path, above, set(class_names)) for path in paths]


def _folder_class(path: str, above: str, class_names: Collection[str]) -> str | None:
    folder = os.path.dirname(os.path.abspath(path))
    folders = os.path.relpath(folder, above).split(os.sep) if above else [os.path.basename(folder)]
    return next((name for name in map(class_name, folders) if name in class_names), None)


def _list_at(where: str) -> ImageList | None:
    """The list of that name or address; None if it is something else."""
    if storage.remote(where):
        return parse_list(where, storage.text(where)) if where.lower().endswith(".txt") else None
    if not os.path.isfile(where) or where.lower().endswith((*SUFFIXES, *UNREAD_SUFFIXES)):
        return None
    return read_list(where)


def _listed(images: ImageList) -> list[str]:
    """Returns the paths that a list names, relative to it.

    A list from elsewhere names no file of this machine, nor any other storage, and one of this machine no address:
    nothing is opened or fetched because a list says so.

    Raises:
      UserError: it does.
    """
    root, elsewhere = os.path.dirname(images.path), storage.remote(images.path)
    for line in images.lines:
        path = line.path.replace("\\", "/")
        if elsewhere and (path.startswith("/") or ".." in path.split("/") or "://" in path):
            raise UserError(f"{images.at(line)} is outside of the list's folder: expected paths below {shown(root)}.")
        if storage.remote(path):
            raise UserError(
                f"{images.at(line)} is an address, which a list on this machine may not name: put the list beside the "
                "images, and give its address to --images."
            )
    paths = [os.path.join(root, line.path) for line in images.lines]
    if elsewhere:
        return paths
    return [p if os.path.lexists(p) else written_path(root, line.path) for p, line in zip(paths, images.lines)]


def _below(folder: str) -> list[str]:
    """Also images that cannot be read, which get a row that says so."""
    found, others = [], collections.Counter()
    for each in image_files.walk(image_files.look(folder, "--images"), "--images"):
        unread = [name for name in each.others if name.lower().endswith(UNREAD_SUFFIXES)]
        found += each.paths() + [os.path.join(each.path, name) for name in unread]
        others.update(image_files.ending(name) for name in each.others if name not in unread)
    if others:
        print(f"No images by their names, passed over in {shown(folder)}: {image_files.not_read(others)}.")
    return sorted(found)


@dataclasses.dataclass(frozen=True)
class Result:
    """The outcome of a prediction run.

    Attributes:
      images: rows in the output.
      resumed: rows of them that were there from an earlier run.
      reasons: path and reason of the rows that hold one in place of a label.
      scored: readable images whose class is known, see `known_classes`.
      accuracy: share of those whose label is that class; None if there are none.
      mean_class_accuracy: the mean of that share over the classes that are there.
      agreement: whether rows have it.
    """

    images: int
    resumed: int
    reasons: tuple[tuple[str, str], ...]
    scored: int
    accuracy: float | None
    mean_class_accuracy: float | None
    agreement: bool


def predict(
    model: Model,
    paths: Sequence[str],
    output: str,
    batch: int = 64,
    probabilities: bool = False,
    features: bool = False,
    restart: bool = False,
    spread: Spread | None = None,
    known: Sequence[str | None] | None = None,
) -> Result:
    """Writes one row an image: path, label, score, agreement if the model says it, error, and what else is asked for.

    Rows go to `<output>.partial`, which an interrupted run goes on with and which becomes `output` when it is
    whole. Besides the paths, memory does not grow with the number of images.

    Args:
      model: what is asked.
      paths: of the images.
      output: .csv or .jsonl.
      batch: images asked about at once.
      probabilities: whether rows hold all of them.
      features: whether rows hold f.
      restart: drop the rows that a run with another model, other options or images left.
      spread: `shards.answered` of a pool, to have others answer; None: this process does.
      known: the class of each image, None where it is not; None: the names of folders.

    Raises:
      UserError: an output of another kind, a full disk, a partial file of another run.
    """
    if not output.endswith((".csv", ".jsonl")):
        raise UserError(f"--output={output}: expected a name that ends in .csv or .jsonl.")
    options = {"probabilities": probabilities, "features": features}
    made_with = rows.describe(model.identity, options, paths)
    local = rows.local_path(output)
    folder = os.path.dirname(os.path.abspath(local))
    with disk_errors(f"writing {local}"):
        os.makedirs(folder, exist_ok=True)
        with rows.opened(local, made_with, paths, restart) as (file, done):
            with progress(total=len(paths), initial=done, unit="image", desc="predict") as bar:
                if spread is None:
                    lines = answered(model, paths[done:], batch, options)
                else:
                    lines = spread(model, folder, paths, done, batch, options)
                for several in lines:
                    file.writelines(several)
                    file.flush()
                    bar.update(len(several))
            rows.finish(local, model.class_names)
            if local != output:
                storage.upload(local, output)
                os.remove(local)
            known = known or [_folder_class(path, "", set(model.class_names)) for path in paths]
            result = _result(rows.partial_path(output), known, set(model.class_names), done)
            os.remove(rows.partial_path(output))
    return result


def answered(
    model: Model, paths: Sequence[str], batch: int, options: Mapping[str, bool], folder: str = ""
) -> Iterator[list[str]]:
    """Yields the rows of one batch after another, in order, as lines; the next batches are in work meanwhile.

    Args:
      model: what is asked.
      paths: of the images, as rows name them.
      batch: images asked about at once.
      options: see `predict`.
      folder: what paths are relative to, if that is not the current folder.
    """

    def answer(chunk: Sequence[str]) -> list[str]:
        places = [storage.beside(folder, path) for path in chunk]
        records = list(readers.map(_read, places))
        answers = model.ask([record if isinstance(record, bytes) else b"" for record in records], options["features"])
        for i, place in enumerate(places):
            if isinstance(records[i], bytes) and not answers["label"][i]:
                records[i] = _why_undecodable(place)
        return [
            rows.line(_row(path, record, answers, i, options)) for i, (path, record) in enumerate(zip(chunk, records))
        ]

    readers, workers = futures.ThreadPoolExecutor(8), futures.ThreadPoolExecutor(_AT_ONCE)
    chunks = (paths[start : start + batch] for start in range(0, len(paths), batch))
    try:
        for future in in_order((workers.submit(answer, chunk) for chunk in chunks), lambda: _AT_ONCE):
            yield future.result()
    finally:
        workers.shutdown(cancel_futures=True)
        readers.shutdown(cancel_futures=True)


def in_order(submitted: Iterable[futures.Future], most: Callable[[], int]) -> Iterator[futures.Future]:
    """Yields futures, which are made as they are asked for, in their order; `most` says how many may be at work while
    one is waited for."""
    pending: collections.deque[futures.Future] = collections.deque()
    for future in submitted:
        pending.append(future)
        while len(pending) > most():
            yield pending.popleft()
    yield from pending


def _read(path: str) -> bytes | str:
    """Reads an image file as the model takes it; returns why that cannot be where it cannot."""
    read = storage.read if storage.remote(path) else read_regular
    try:
        return image_files.plain(read(path, MAX_BYTES))
    except OSError as error:
        return f"cannot be opened: {error.strerror or 'it is not there'}"
    except (image_files.BadImageError, storage.TooLargeError) as error:
        return str(error)
    except UserError as error:
        if storage.remote(path):  # it is not there any more, which is no row's fault
            raise
        return str(error).removeprefix(shown(path)).strip(" .")


def _why_undecodable(path: str) -> str:
    return (None if storage.remote(path) else image_files.check_file(path)) or "damaged, or too large to decode"


def _row(path: str, record: bytes | str, answers: Answers, i: int, options: Mapping[str, bool]) -> dict[str, object]:
    error = record if isinstance(record, str) else ""
    row: dict[str, object] = {"path": path, "label": "" if error else answers["label"][i]}
    row |= {n: 0.0 if error else _numbers(answers[n][i : i + 1])[0] for n in ("score", "agreement") if n in answers}
    asked = {n: None if error else _numbers(answers[n][i]) for n in ("probabilities", "features") if options[n]}
    return {**row, "error": error, **asked}


def _numbers(values: np.ndarray) -> list[float]:
    """float32 as the shortest decimals that give it back."""
    return [float(f"{value:.9g}") for value in values.tolist()]


def _result(partial: str, known: Sequence[str | None], class_names: Collection[str], resumed: int) -> Result:
    """Counts the rows, and scores those whose class is known to the model."""
    images, reasons, right, total = 0, [], collections.Counter(), collections.Counter()
    row: dict = {}
    for row, name in zip(rows.rows(partial), known):
        images += 1
        if row["error"]:
            reasons.append((shown(row["path"]), row["error"]))
        elif name in class_names:
            total[name] += 1
            right[name] += row["label"] == name
    scored = sum(total.values())
    accuracy = sum(right.values()) / scored if scored else None
    mean_class_accuracy = float(np.mean([right[name] / total[name] for name in total])) if scored else None
    return Result(images, resumed, tuple(reasons), scored, accuracy, mean_class_accuracy, "agreement" in row)
