"""Checkpoints written until the kernel ends the process while one is: `python -m tests.faults.killed_run FOLDER`.

Each holds its step, a million times.
"""

import itertools
import os
import signal
import sys
import threading

import tensorflow as tf

from gsda_tf.runs.checkpoints import Checkpoints


def _watch(folder: str) -> None:
    """Ends the process as soon as there is an unfinished file of a checkpoint, beside a whole one."""
    while True:
        names = os.listdir(folder) if os.path.isdir(folder) else []
        if any("temp" in name for name in names) and any(name.endswith(".index") for name in names):
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Writes."""
    workdir = sys.argv[1]
    sys.setswitchinterval(1e-5)
    threading.Thread(target=_watch, args=(os.path.join(workdir, "checkpoints"),), daemon=True).start()
    variable = tf.Variable(tf.zeros([10**6]))
    stored = Checkpoints({"weights": [variable]}, workdir, keep=3)
    for step in itertools.count(1):
        variable.assign(tf.fill([10**6], float(step)))
        stored.save(step)


if __name__ == "__main__":
    main()
