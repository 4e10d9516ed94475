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
    """Ends the process as soon as there is an unfinished file of a checkpoint."""
    while not any("temp" in name for name in os.listdir(folder)):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Writes."""
    workdir = sys.argv[1]
    sys.setswitchinterval(1e-5)
    variable = tf.Variable(tf.zeros([10**6]))
    stored = Checkpoints({"weights": [variable]}, workdir, keep=3)
    for step in itertools.count(1):
        variable.assign(tf.fill([10**6], float(step)))
        stored.save(step)
        if step == 1:  # an index may be there before its checkpoint is whole, so the first is not watched
            threading.Thread(target=_watch, args=(os.path.join(workdir, "checkpoints"),), daemon=True).start()


if __name__ == "__main__":
    main()
