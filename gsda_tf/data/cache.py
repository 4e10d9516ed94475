"""Decoded images that are kept in memory (`--cache=memory`).

What is kept is what every crop of an image is cut from (`images.decode` for a geometry), never a crop: batches are the
same bit for bit with and without. Images are looked up by their place, so the order of drawing does not matter.
"""

from __future__ import annotations

import contextlib

import numpy as np

_LEFT = 0.1
"""This share of the machine's memory is left to others."""
_NONE = np.zeros((0, 0, 3), np.uint8)


class MemoryStore:
    """Pixels by place in this process, as many as leave a tenth of the machine's memory free."""

    def __init__(self):
        self._pixels: dict[int, np.ndarray] = {}
        self._full = False

    def kept(self, place: int, decoded: np.ndarray | None = None) -> np.ndarray:
        """Returns the pixels of an image, uint8 [h, w, 3]; [0, 0, 3] where there are none, neither kept nor given.

        Args:
          place: of the image.
          decoded: to be kept.
        """
        if decoded is None:
            return self._pixels.get(place, _NONE)
        if not self._full and len(self._pixels) % 64 == 0 and _memory_left() < _LEFT:
            self._full = True
            print(f"--cache=memory: memory is nearly full, no more than {len(self._pixels):,} images are kept.")
        if not self._full:
            self._pixels[place] = decoded.copy()
        return decoded


def _memory_left() -> float:
    """The share of the machine's memory that is free or can be freed; 1 where that is not told."""
    with contextlib.suppress(OSError, KeyError, ValueError), open("/proc/meminfo", encoding="ascii") as file:
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in file}
        return kilobytes["MemAvailable"] / kilobytes["MemTotal"]
    return 1.0
