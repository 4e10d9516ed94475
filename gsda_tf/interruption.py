"""SIGTERM and Ctrl-C: heard at once where that is possible, and never lost.

A handler that raises is not enough: what calls back into Python, as TensorFlow does while it builds and traces, turns
the exception into an error of its own, or passes it over. So the signal is remembered, too: a command looks for it
between its parts, and whatever it ends with after a signal is an interruption.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_listening, _heard = threading.Event(), threading.Event()


class Interrupted(Exception):  # noqa: N818 - it is not an error
    """A signal asked the run to stop; it has been checkpointed."""


def listen() -> None:
    """From now on a signal interrupts this process, a command, for good."""
    _listening.set()

    def stop(number: int, frame: Any) -> None:
        _heard.set()
        raise KeyboardInterrupt

    for number in SIGNALS:
        signal.signal(number, stop)


def heard() -> bool:
    """Returns whether a signal came after `listen`."""
    return _heard.is_set()


def check() -> None:
    """Raises KeyboardInterrupt if a signal came, whatever has become of it."""
    if heard():
        raise KeyboardInterrupt


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Lets the work at hand finish on the first signal; a second one stops at once.

    Yields:
      Whether one came.
    """
    asked = threading.Event()
    before: dict[int, Any] = {}

    def ask(number: int, frame: Any) -> None:
        asked.set()
        if _listening.is_set():
            _heard.set()
        signal.signal(number, before[number])

    try:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before[number] = signal.signal(number, ask)
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
