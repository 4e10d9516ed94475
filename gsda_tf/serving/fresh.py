"""A process in which nothing of this one is: what was written is loaded and asked there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from gsda_tf.errors import COMMANDS, TrainingError

CHECK_SECONDS = 900.0
"""After so long a process that checks what was written is given up."""

_IMPORTS = (
    "import os, sys, zipfile, numpy as np, tensorflow as tf\n"
    "arguments = os.fsdecode(sys.stdin.buffer.read()).split('\\0')\n"
)


class FreshProcess:
    """A script on the CPU, under way: TensorFlow is imported while its question is still being written.

    Args:
      script: Python; it finds its arguments as `arguments`. This package is not there.
      folder: it runs in.
    """

    def __init__(self, script: str, folder: str):
        self._process = subprocess.Popen(
            [sys.executable, "-c", _IMPORTS + script],
            cwd=folder, env=environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, arguments: Sequence[str]) -> None:
        """Gives it its arguments; it works on beside this process."""
        with contextlib.suppress(BrokenPipeError):  # it has ended: `end` says why
            self._process.stdin.write(os.fsencode("\0".join(arguments)))
            self._process.stdin.close()
        self._process.stdin = None

    def end(self) -> str | None:
        """Waits for its end; returns what is wrong, or None.

        Raises:
          TrainingError: it takes for ever.
        """
        try:
            said = self._said(CHECK_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise TrainingError(
                f"The export was not loaded and asked within {CHECK_SECONDS:g} s and was removed: is the machine busy? "
                f"{COMMANDS}.export exports the checkpoint again."
            ) from error
        code = self._process.returncode
        return (said.strip().splitlines() or [f"the process ended with {code}"])[-1] if code else None

    def _said(self, seconds: float) -> str:
        return self._process.communicate(timeout=seconds)[1].decode("utf-8", "replace")

    def kill(self) -> None:
        """Ends it if it is still there."""
        self._process.kill()
        self._process.communicate()


def environment() -> dict[str, str]:
    """Variables of such a process: it sees no GPU and no other worker."""
    kept = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@contextlib.contextmanager
def fresh_process(script: str, folder: str) -> Iterator[FreshProcess]:
    """A `FreshProcess` that is gone when the block ends."""
    process = FreshProcess(script, folder)
    try:
        yield process
    finally:
        process.kill()
