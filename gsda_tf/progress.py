"""Shows how long work goes on: a bar on a terminal; elsewhere plain lines, as a log keeps every one."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

from gsda_tf import interruption

_FIRST, _LINE_SECONDS = 3.0, 30.0
"""Work that takes longer than the first has a line, and another whenever the second has passed."""


def progress(iterable: Iterable | None = None, **options: Any) -> tqdm:
    """Returns a `tqdm` bar if its file (stderr by default) is a terminal or a notebook's, else `Lines`; the options are
    `tqdm`'s."""
    file = options.get("file") or sys.stderr
    if options.get("disable") or file.isatty() or type(file).__module__.startswith("ipykernel."):
        return tqdm(iterable, **{"dynamic_ncols": True, **options})
    return Lines(iterable, **{**options, "mininterval": _FIRST, "delay": _FIRST, "miniters": 1})


@contextlib.contextmanager
def timed(name: str, shown: bool = True) -> Iterator[None]:
    """Names a part of a command as it begins, and says how long it took when it is done.

    Raises:
      KeyboardInterrupt: a signal came, and TensorFlow or somebody else has passed it over.
    """
    interruption.check()
    began = time.monotonic()
    if shown:
        print(f"{name} ...", flush=True)
    yield
    if shown:
        print(f"{name}: {seconds(time.monotonic() - began)}", flush=True)
    interruption.check()


def seconds(value: float) -> str:
    """For people: 3.2 s, 2 min 05 s, 1 h 07 min."""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{value:.1f} s"


def duration(steps: int, rate: float) -> str:
    """How long so many steps take at so many a second, for people."""
    return f"{steps:,} steps take about {seconds(steps / rate)}, evaluations aside ({rate:.3g} steps a second)."


def size(value: float) -> str:
    """Bytes for people: 12 GB, 3.4 MB."""
    power = min(len(str(int(value))) - 1, 12) // 3
    return f"{value / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


class Lines(tqdm):
    """A bar for logs: a line soon and every half minute, without control characters; short work says nothing.

    Where its `bar_format` has no "{remaining}", no time left is told.
    """

    monitor_interval = 0  # no thread that refreshes

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Writes a line now."""
        self.mininterval = _LINE_SECONDS
        rate = (self.n - self.initial) / max(self._time() - self.start_t, 1e-9)
        parts = [f"{self.desc}: {self.unit.strip()} {round(self.n):,}"]
        if self.total:
            parts[0] += f" of {round(self.total):,} ({100 * self.n / self.total:.0f} %)"
        if rate:
            parts.append(f"{rate:.3g} a second")
            if self.total and self.n < self.total and "{remaining}" in (self.bar_format or "{remaining}"):
                parts.append(f"{seconds((self.total - self.n) / rate)} left")
        print(", ".join([*parts, *filter(None, [self.postfix])]), file=self.fp, flush=True)

    def clear(self, nolock: bool = False) -> None:
        """Nothing has to be cleared."""

    def close(self) -> None:
        """Nothing is left to be cleared, and no last line is written."""
        self.disable = True
