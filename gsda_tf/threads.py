"""Calls in a thread of their own, which holds up neither its caller nor the end of the process."""

import threading
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

_Value = TypeVar("_Value")


def in_thread(call: Callable[[], _Value]) -> futures.Future[_Value]:
    """Calls a function in a new thread; its future is done when the function is."""
    result: futures.Future[_Value] = futures.Future()

    def run() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result
