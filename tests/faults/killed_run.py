"""launch.train that is killed while it does something: `python -m tests.faults.killed_run MOMENT FLAGS`."""

import os
import runpy
import signal
import sys
import threading

from gsda_tf.training import run


def die(*_, **__):
    """As the kernel would end it: nothing is written any more."""
    os.kill(os.getpid(), signal.SIGKILL)


def while_a_checkpoint_is_written(workdir: str) -> None:
    """As soon as there is an unfinished file of the second checkpoint."""
    folder = os.path.join(workdir, "checkpoints")

    def watch():
        while True:
            try:
                names = os.listdir(folder)
            except OSError:
                continue
            if any("temp" in name for name in names) and any(name.endswith(".index") for name in names):
                die()

    sys.setswitchinterval(1e-5)
    threading.Thread(target=watch, daemon=True).start()


def between_export_and_summary(workdir: str) -> None:
    """With the export in its place, and no summary of the run."""
    run.write_summary = die


if __name__ == "__main__":
    moment, *flags = sys.argv[1:]
    folder = next(flag.split("=", 1)[1] for flag in flags if flag.startswith("--workdir="))
    globals()[moment](folder)
    sys.argv = ["launch.train", *flags]
    runpy.run_module("launch.train", run_name="__main__", alter_sys=True)
