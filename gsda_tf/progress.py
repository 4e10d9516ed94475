"""Shows how long work goes on: a bar on a terminal; elsewhere plain lines, as a log keeps every one."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tqdm import tqdm

from gsda_tf import interruption

_LINE_SECONDS = 30.0


def progress(iterable: Iterable | None = None, **options: Any) -> tqdm | Lines:
    """A `tqdm` bar if its file (stderr by default) is a terminal, else `Lines`; the options are those of `tqdm`."""
    if options.get("disable") or (options.get("file") or sys.stderr).isatty():
        return tqdm(iterable, **{"dynamic_ncols": True, **options})
    known = ("total", "initial", "unit", "desc", "file", "bar_format")
    return Lines(iterable, **{name: options[name] for name in known if name in options})


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


def size(value: float) -> str:
    """Bytes for people: 12 GB, 3.4 MB."""
    power = min(len(str(int(value))) - 1, 12) // 3
    return f"{value / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


class Lines:
    """Stands in for `tqdm`: a line every half minute without control characters; short work says nothing.

    Args:
      iterable: to go through, or None.
      total: of what is counted; by default the iterable's length.
      initial: what is done already.
      unit: what is counted.
      desc: what is done.
      file: default stderr.
      bar_format: of `tqdm`; where it has no "{remaining}", no time left is told.
    """

    def __init__(self, iterable=None, total=None, initial=0, unit="it", desc="", file=None, bar_format="{remaining}"):
        self._tells_left = "{remaining}" in bar_format
        self._iterable, self._file = iterable, file or sys.stderr
        self._total = len(iterable) if total is None and hasattr(iterable, "__len__") else total
        self._initial, self.n, self._unit, self._what = initial, initial, unit.strip(), desc
        self._began = self._told = time.monotonic()
        self._rest = ""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def __iter__(self):
        for item in () if self._iterable is None else self._iterable:
            yield item
            self.update()
        self.close()

    def update(self, n: float = 1) -> None:
        """So much more is done."""
        self.n += n
        if time.monotonic() - self._told >= _LINE_SECONDS:
            self.refresh()

    def set_postfix(self, values: Mapping[str, Any], refresh: bool = False) -> None:
        """Returns what the next line ends with."""
        self.set_postfix_str(", ".join(f"{name} {value}" for name, value in values.items()), refresh)

    def set_postfix_str(self, text: str, refresh: bool = False) -> None:
        """Returns what the next line ends with."""
        self._rest = text
        if refresh:
            self.refresh()

    def refresh(self) -> None:
        """Writes a line now."""
        self._told = time.monotonic()
        rate = (self.n - self._initial) / max(self._told - self._began, 1e-9)
        parts = [f"{self._what}: {self._unit} {round(self.n):,}"]
        if self._total:
            parts[0] += f" of {round(self._total):,} ({100 * self.n / self._total:.0f} %)"
        if rate:
            parts.append(f"{rate:.3g} a second")
            if self._tells_left and self._total and self.n < self._total:
                parts.append(f"{seconds((self._total - self.n) / rate)} left")
        print(", ".join([*parts, *filter(None, [self._rest])]), file=self._file, flush=True)

    def close(self) -> None:
        """Nothing is left to be cleared."""
