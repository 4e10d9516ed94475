"""Predictions on the workers of a Dask scheduler: the list is cut into pieces, and each is written aside, whole."""

from __future__ import annotations

import collections
import functools
import itertools
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures

from gsda_tf.cluster import DaskPool
from gsda_tf.errors import UserError, WorkerLostError
from gsda_tf.files import remove_unfinished, replacing
from gsda_tf.serving import predict, rows
from gsda_tf.serving.client import remote_model
from gsda_tf.serving.model import Model, local_model

_BATCHES = 16
"""In a piece: what a worker that dies loses."""
_PIECES_A_THREAD = 4
"""So many pieces are with the workers at a time, for each thread of theirs."""


class Pieces:
    """Answers that several machines give; each worker loads the model once.

    Finished pieces lie in `<output>.parts` until their rows are in the partial file, so neither a worker nor a client
    that is killed loses one, and none is written twice.

    Args:
      pool: of the workers, which see the client's folders.
      model: arguments of `local_model` or, if there are several, of `remote_model`.
    """

    def __init__(self, pool: DaskPool, model: tuple):
        self._pool, self._model = pool, model

    def answered(
        self, output: str, made_with: Mapping, paths: Sequence[str], done: int, batch: int, options: Mapping[str, bool]
    ) -> Iterator[list[str]]:
        """The rows that are missing, in order, as lines; a piece's file goes when the next rows are asked for.

        Args:
          output: the file that is wanted in the end.
          made_with: what its rows are bound to, `rows.describe`.
          paths: of all images.
          done: rows that are there.
          batch: images asked about at once.
          options: see `predict`.

        Raises:
          UserError: a worker cannot do its work, or the scheduler is gone.
        """
        folder = os.path.abspath(f"{output}.parts")
        if os.path.islink(folder):
            raise UserError(f"{folder} is a symbolic link, and nothing is written through one: remove the link.")
        os.makedirs(folder, exist_ok=True)
        remove_unfinished(folder)
        size = batch * _BATCHES
        pending: collections.deque[tuple[int, str, futures.Future | None]] = collections.deque()
        # Pieces begin where they always do, so that batches are the same however often a run went on.
        for first in range(done - done % size, len(paths), size):
            piece = list(paths[first : first + size])
            part = os.path.join(folder, f"{first:012d}.jsonl")
            head = rows.line({**made_with, "batch": batch, "first": first})
            future = None
            if not _whole(part, head, len(piece)):
                future = self._pool.call(_answer, self._model, os.getcwd(), part, head, piece, batch, dict(options))
            pending.append((first, part, future))
            while len(pending) >= max(1, _PIECES_A_THREAD * self._pool.threads()):
                yield from self._finished(*pending.popleft(), done)
        while pending:
            yield from self._finished(*pending.popleft(), done)
        for name in os.listdir(folder):
            if re.fullmatch(r"\d{12}\.jsonl", name):  # of a run that was cut otherwise
                os.remove(os.path.join(folder, name))
        os.rmdir(folder)

    @staticmethod
    def _finished(first: int, part: str, future: futures.Future | None, done: int) -> Iterator[list[str]]:
        if future is not None:
            _wait(future)
        with open(part, encoding="utf-8", newline="") as file:
            lines = itertools.islice(file, 1 + max(0, done - first), None)
            while several := list(itertools.islice(lines, 64)):
                yield several
        os.remove(part)


def _wait(future: futures.Future) -> None:
    try:
        future.result()
    except UserError:
        raise
    except futures.CancelledError as error:
        raise WorkerLostError(
            "The scheduler is gone. When there is one again, the same command goes on from what is on disk."
        ) from error
    except Exception as error:  # whatever a worker of another machine may raise
        said = next(iter(str(error).splitlines()), "")[:500]
        raise UserError(f"A worker could not answer: {type(error).__name__}: {said}") from error


def _whole(part: str, head: str, count: int) -> bool:
    """Whether a part is there that was made for this very piece."""
    try:
        with open(part, encoding="utf-8", newline="") as file:
            return next(file, None) == head and sum(line.endswith("\n") for line in file) == count
    except (OSError, UnicodeDecodeError):
        return False


def _answer(
    model: tuple, folder: str, part: str, head: str, paths: Sequence[str], batch: int, options: Mapping[str, bool]
) -> None:
    """On a worker: writes the rows of a piece aside and moves them into place."""
    loaded = _loaded(model, folder)
    if loaded.identity != json.loads(head)["model"]:
        raise UserError(f"A worker found another model at {model[0]} than the client: all need the same.")
    if not os.path.isdir(os.path.dirname(part)):
        raise UserError(f"A worker does not see {os.path.dirname(part)}: all workers need the client's folders.")
    with replacing(part, "w", encoding="utf-8", newline="") as file:
        file.write(head)
        for several in predict.answered(loaded, paths, batch, options, folder):
            file.writelines(several)


_LOADING = threading.Lock()


def _loaded(model: tuple, folder: str) -> Model:
    with _LOADING:  # a worker may have several threads
        return _load(model, folder)


@functools.lru_cache(maxsize=1)
def _load(model: tuple, folder: str) -> Model:
    return remote_model(*model) if len(model) > 1 else local_model(os.path.join(folder, model[0]))
