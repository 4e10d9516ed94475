"""Predictions for folders of images: streamed, resumable, complete or not there."""

from __future__ import annotations

import collections
import contextlib
import csv
import dataclasses
import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from gsda_tf.errors import UserError
from gsda_tf.files import disk_errors
from gsda_tf.serving.export import versions

ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp")

Model = Callable[[list[bytes]], "Answers"]


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a model says of a batch.

    Attributes:
      labels: class names; empty where the image could not be decoded.
      scores: float32 [N].
      probabilities: float32 [N, r].
    """

    labels: list[str]
    scores: np.ndarray
    probabilities: np.ndarray


def local_model(path: str) -> Model:
    """An export as a function from encoded images to answers.

    Args:
      path: a version's folder, or the folder of versions (then the newest).

    Raises:
      UserError: no export there.
    """
    if not os.path.exists(os.path.join(path, "saved_model.pb")):
        found = versions(path)
        if not found:
            raise UserError(f"--model={path} holds no export: expected saved_model.pb, or version folders 1, 2, ...")
        path = os.path.join(path, str(found[-1]))
    try:
        loaded = tf.saved_model.load(path)
        ask = loaded.signatures["serving_default"]
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise UserError(f"--model={path} could not be loaded: {str(error).splitlines()[0][:200]}") from error

    def answer(records: list[bytes]) -> Answers:
        out = ask(image_bytes=tf.constant(records, tf.string))
        labels = [label.decode() for label in out["label"].numpy()]
        return Answers(labels, out["score"].numpy(), out["probabilities"].numpy())

    answer.loaded = loaded  # keeps the variables alive
    return answer


def find_images(where: str) -> list[str]:
    """Paths of the images in a folder, of a pattern with * or ?, or in a list file, sorted or in the list's order.

    Raises:
      UserError: none found.
    """
    if os.path.isdir(where):
        found = sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(where)
            for name in names
            if name.lower().endswith(ENDINGS)
        )
    elif glob.has_magic(where):
        found = sorted(path for path in glob.glob(where, recursive=True) if os.path.isfile(path))
    elif os.path.isfile(where):
        root = os.path.dirname(os.path.abspath(where))
        with open(where, encoding="utf-8-sig") as file:
            found = [os.path.join(root, line) for line in file.read().splitlines() if line.strip()]
    else:
        raise UserError(f"--images={where}: no such folder, pattern or list file.")
    if not found:
        raise UserError(f"--images={where} holds no images: expected files that end in {', '.join(ENDINGS)}.")
    return found


@dataclasses.dataclass(frozen=True)
class Result:
    """What a prediction run did.

    Attributes:
      images: rows in the output.
      unreadable: rows that hold a reason instead of a label.
      accuracy: share of readable images whose label is their folder's name; None if no folder is named as a label
        that was given.
    """

    images: int
    unreadable: int
    accuracy: float | None


def predict(model: Model, paths: Sequence[str], output: str, batch: int = 64, probabilities: bool = False) -> Result:
    """Writes one row an image: path, label, score, error, and the probabilities if asked for.

    Rows go to `<output>.partial`, which an interrupted run goes on with and which becomes `output` when it is
    whole. Memory does not grow with the number of images.

    Args:
      model: encoded images -> answers.
      paths: of the images.
      output: .csv or .jsonl.
      batch: images asked about at once.
      probabilities: whether rows hold all of them.

    Raises:
      UserError: an output of another kind, a full disk, a partial file of another list of images.
    """
    if not output.endswith((".csv", ".jsonl")):
        raise UserError(f"--output={output}: expected a name that ends in .csv or .jsonl.")
    partial = f"{output}.partial"
    done = _rows_done(partial, paths)
    with disk_errors(f"writing {output}"):
        os.makedirs(os.path.dirname(os.path.abspath(output)), exist_ok=True)
        with open(partial, "a", encoding="utf-8", newline="") as file:
            with tqdm(total=len(paths), initial=done, unit="image", desc="predict", dynamic_ncols=True) as bar:
                for chunk, records in _batches(paths[done:], batch):
                    for row in _answer(model, chunk, records, probabilities):
                        file.write(json.dumps(row) + "\n")
                    file.flush()
                    bar.update(len(chunk))
            os.fsync(file.fileno())
        _write(partial, output)
    return _result(partial)


def _batches(paths: Sequence[str], batch: int) -> Iterator[tuple[list[str], list[bytes | str]]]:
    """Files by the batch, the next ones read while the model works; one that cannot be read gives its reason."""
    chunks = (paths[i : i + batch] for i in range(0, len(paths), batch))
    with futures.ThreadPoolExecutor(8) as pool:
        pending: collections.deque = collections.deque()
        for chunk in chunks:
            pending.append((chunk, [pool.submit(_read, path) for path in chunk]))
            if len(pending) > 2:
                ready, reading = pending.popleft()
                yield list(ready), [task.result() for task in reading]
        for ready, reading in pending:
            yield list(ready), [task.result() for task in reading]


def _read(path: str) -> bytes | str:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        return error.strerror or "unreadable"


def _answer(
    model: Model, paths: Sequence[str], records: Sequence[bytes | str], probabilities: bool
) -> Iterable[dict[str, object]]:
    answers = model([b"" if isinstance(record, str) else record for record in records])
    for i, (path, record) in enumerate(zip(paths, records)):
        if isinstance(record, str):
            error = record
        elif not answers.labels[i]:
            error = "empty file" if not record else "not an image that can be decoded"
        else:
            error = ""
        row: dict[str, object] = {"path": path, "label": answers.labels[i] if not error else ""}
        row["score"] = float(answers.scores[i]) if not error else 0.0
        row["error"] = error
        if probabilities:
            row["probabilities"] = [float(p) for p in answers.probabilities[i]]
        yield row


def _rows(partial: str) -> Iterator[dict]:
    with open(partial, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _rows_done(partial: str, paths: Sequence[str]) -> int:
    """Rows of an interrupted run that are whole; a last line that was cut off is dropped."""
    if not os.path.exists(partial):
        return 0
    with open(partial, "rb+") as file:
        good, count = 0, 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            if count >= len(paths) or json.loads(line)["path"] != paths[count]:
                raise UserError(
                    f"{partial} was left by a run over other images: delete it, or give the same --images again."
                )
            good, count = good + len(line), count + 1
        file.truncate(good)
    return count


def _write(partial: str, output: str) -> None:
    """Turns the rows into the form asked for, beside the output, and moves them into place."""
    aside = f"{output}.writing"
    try:
        with open(aside, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            for i, row in enumerate(_rows(partial)):
                if output.endswith(".jsonl"):
                    file.write(json.dumps(row) + "\n")
                    continue
                probabilities = row.pop("probabilities", [])
                if i == 0:
                    writer.writerow([*row, *(f"p{k}" for k in range(len(probabilities)))])
                writer.writerow([*row.values(), *probabilities])
        os.replace(aside, output)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(aside)
        raise


def _result(partial: str) -> Result:
    """Counts the rows, scores those whose folder is named as a class, and removes the partial file."""
    images = unreadable = 0
    said: list[tuple[str, str]] = []
    for row in _rows(partial):
        images += 1
        unreadable += bool(row["error"])
        if not row["error"]:
            said.append((os.path.basename(os.path.dirname(row["path"])), row["label"]))
    os.remove(partial)
    folders = {folder for folder, _ in said}
    if not folders & {label for _, label in said}:
        return Result(images, unreadable, None)
    return Result(images, unreadable, sum(folder == label for folder, label in said) / len(said))
