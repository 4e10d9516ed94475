"""Predictions on the workers of a Dask scheduler: the list is cut into pieces, whose rows come back in order."""

import functools
import os
import threading
from collections.abc import Iterator, Mapping, Sequence

from gsda_tf.errors import UserError
from gsda_tf.serving import predict
from gsda_tf.serving.client import remote_model
from gsda_tf.serving.model import Model, local_model
from gsda_tf.workers import DaskPool, outcome

_BATCHES = 16
"""In a piece: what a worker that dies loses."""
_PIECES_A_THREAD = 4
"""So many pieces are with the workers at a time, for each thread of theirs; what a client that is killed loses."""


def answered(
    pool: DaskPool,
    where: tuple,
    model: Model,
    folder: str,
    paths: Sequence[str],
    done: int,
    batch: int,
    options: Mapping[str, bool],
) -> Iterator[list[str]]:
    """Yields the rows that are missing, in order, as lines. Each worker loads the model once.

    Args:
      pool: of the workers, which see the client's folders.
      where: arguments of `local_model` or, if there are several, of `remote_model`.
      model: what the client finds there; a worker that finds another is refused.
      folder: of the output.
      paths: of all images.
      done: rows that are there.
      batch: images asked about at once.
      options: see `predict`.

    Raises:
      UserError: a worker cannot do its work, or the scheduler is gone.
    """
    size = batch * _BATCHES
    skipped = done % size  # pieces begin where they always do: batches are the same however often a run went on
    asked = where, model.identity, os.getcwd(), os.path.abspath(folder)
    pieces = (paths[first : first + size] for first in range(done - skipped, len(paths), size))
    called = (pool.call(_answer, *asked, list(piece), batch, dict(options)) for piece in pieces)
    for future in predict.in_order(called, lambda: _PIECES_A_THREAD * pool.threads()):
        yield outcome(future, _refuse)[skipped:]
        skipped = 0


def _refuse(said: str) -> list[str]:
    raise UserError(f"A worker could not answer: {said}")


def _answer(
    where: tuple, identity: str, folder: str, seen: str, paths: Sequence[str], batch: int, options: Mapping[str, bool]
) -> list[str]:
    """On a worker: the rows of a piece."""
    if not os.path.isdir(seen):
        raise UserError(f"A worker does not see {seen}: all workers need the client's folders.")
    with _LOADING:  # a worker may have several threads
        model = _load(where, folder)
    if model.identity != identity:
        raise UserError(f"A worker found another model at {where[0]} than the client: all need the same.")
    return [line for several in predict.answered(model, paths, batch, options, folder) for line in several]


_LOADING = threading.Lock()


@functools.lru_cache(maxsize=1)
def _load(where: tuple, folder: str) -> Model:
    return remote_model(*where) if len(where) > 1 else local_model(os.path.join(folder, where[0]))
