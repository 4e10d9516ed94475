"""`python -m gsda_tf.run_child MODULE ARGUMENTS`: a command that ends when its standard input does.

Whoever started it holds the other end. Killed, even by SIGKILL, it lets go of that end, and the command is asked to
stop as by SIGTERM: nothing is left at work that nobody waits for.
"""

import os
import runpy
import signal
import sys
import threading
import time

from gsda_tf.errors import COMMANDS

STOP_SECONDS = 120.0
"""How long a command may take to write its checkpoint when it is asked to stop."""


def main() -> None:
    """Runs the module as `python -m` does."""
    held = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_watch, args=(held,), daemon=True).start()
    sys.argv = sys.argv[1:]
    package, _, name = sys.argv[0].rpartition(".")
    module = f"{COMMANDS}.{name}" if package == "launch" else sys.argv[0]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _watch(held: int) -> None:
    os.read(held, 1)  # nothing is ever written: it returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
