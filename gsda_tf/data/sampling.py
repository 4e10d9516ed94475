"""The images that a step sees, as a function of (seed, step) alone.

There is no shuffle buffer and no iterator state, so a run that goes on after an interruption sees what it
would have seen, and every number of replicas sees the same global batches (section 3.1 of the paper asks for
the class balance).
"""

from __future__ import annotations

import numpy as np

_ROUNDS = 4


def _mix(x: np.ndarray) -> np.ndarray:
    """The finalizer of splitmix64: a bijection of uint64 whose output looks random."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hash_key(*parts: int | np.ndarray) -> np.ndarray:
    """One uint64 that depends on every part (integers or arrays of them, broadcast)."""
    key = np.uint64(0)
    with np.errstate(over="ignore"):
        for part in parts:
            key = _mix(np.asarray(key ^ np.asarray(part).astype(np.uint64)))
    return key


def permute(index: np.ndarray, size: np.ndarray | int, key: np.ndarray | int) -> np.ndarray:
    """Returns the place to which a random permutation of `size` things, chosen by `key`, sends `index`.

    A Feistel network over the next power of four, walked until it lands inside: no table, so a permutation of
    150,000 images costs nothing until it is asked.

    Args:
      index: int64, 0 <= index < size.
      size: int64, broadcast against index.
      key: uint64, broadcast against index.

    Returns:
      int64, of the broadcast shape; for fixed size and key a bijection of 0..size-1.
    """
    index, size, key = np.broadcast_arrays(index, size, key)
    half = np.maximum(1, (np.ceil(np.log2(np.maximum(size, 2))).astype(np.uint64) + np.uint64(1)) // np.uint64(2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    x, limit, key = index.astype(np.uint64), size.astype(np.uint64), key.astype(np.uint64)
    todo = np.ones(x.shape, bool)
    with np.errstate(over="ignore"):
        while todo.any():
            left, right = x >> half, x & mask
            for i in range(_ROUNDS):
                left, right = right, left ^ (_mix(right ^ _mix(key + np.uint64(i))) & mask)
            x = np.where(todo, (left << half) | right, x)
            todo = x >= limit
    return x.astype(np.int64)


class BalancedSampler:
    """Draws every class equally often, and every image of a class once before any of them again.

    Of images from several places, those of a class that has any are drawn in turn, each place equally often.

    Slots count the images a stream has ever asked for: step t of batch size B fills slots t B to t B + B - 1.
    The slots fall into rounds of one slot a class, in an order that changes from round to round.

    Args:
      labels: int [n]; images with a negative label are never drawn.
      seed: of the run.
      stream: tells streams of one run apart (source, target, and the target after each new labelling).
      places: int [n], from which of several places each image is; None: all from one.

    Raises:
      ValueError: no image has a label.
    """

    def __init__(self, labels: np.ndarray, seed: int, stream: int, places: np.ndarray | None = None):
        labels = np.asarray(labels)
        self.classes = np.unique(labels[labels >= 0])
        if not len(self.classes):
            raise ValueError("no image to draw from")
        # A cell has the images of a class from one place; those of a class lie side by side.
        width = 1 if places is None else int(places.max()) + 1
        cells = labels.astype(np.int64) * width + (0 if places is None else places)
        order = np.argsort(cells, kind="stable")
        self._images = order[np.searchsorted(labels[order], 0) :]
        self._cells = np.unique(cells[self._images])
        self._starts = np.searchsorted(cells[self._images], self._cells)
        self._counts = np.diff(np.append(self._starts, len(self._images)))
        self._first = np.searchsorted(self._cells // width, self.classes)
        self._places = np.diff(np.append(self._first, len(self._cells)))
        self._seed, self._stream = seed, stream

    def indices(self, slots: np.ndarray) -> np.ndarray:
        """The images in `slots`.

        Args:
          slots: int64, any shape.

        Returns:
          int64 of the same shape, indices into `labels`.
        """
        slots = np.asarray(slots, np.int64)
        turn, place = np.divmod(slots, len(self.classes))
        which = permute(place, len(self.classes), hash_key(self._seed, self._stream, 1, turn))
        cell, places = self._first[which], self._places[which]
        if len(self._cells) > len(self.classes):
            turn, place = np.divmod(turn, places)
            cell = cell + permute(place, places, hash_key(self._seed, self._stream, 3, self.classes[which], turn))
        count = self._counts[cell]
        epoch, draw = np.divmod(turn, count)
        image = permute(draw, count, hash_key(self._seed, self._stream, 2, self._cells[cell], epoch))
        return self._images[self._starts[cell] + image]


def uniform_sampler(size: int, seed: int, stream: int) -> BalancedSampler:
    """Draws every one of `size` images once before any again, whatever its class."""
    return BalancedSampler(np.zeros(size, np.int64), seed, stream)
