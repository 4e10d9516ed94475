"""A sweep of `fake_train` in a process of its own: `python -m tests.faults.fake_sweep OUT STEPS JOBS SEED...`.

JOBS is a number, or the address of a Dask scheduler.
"""

import contextlib
import json
import os
import signal
import sys

from gsda_tf.files import write_atomically
from gsda_tf.sweeps import sweep, trials
from gsda_tf.workers import DaskPool, LocalPool
from launch import flags


def plan(out: str, steps: int, seeds, hold: bool = False) -> list[trials.Trial]:
    runs = trials.plan("digits", ["Fo_Ha"], ["source_only"], [int(seed) for seed in seeds], {"steps": steps}, out)
    for run in runs:
        wanted = os.path.join(run.workdir, "wanted.json")
        if not os.path.exists(wanted):
            write_atomically(wanted, json.dumps({"settings": run.settings.flat()}))
        if hold:
            write_atomically(os.path.join(run.workdir, "hold"), "")
    return runs


def release(runs) -> None:
    """Lets runs that are held go on."""
    for run in runs:
        os.remove(os.path.join(run.workdir, "hold"))


def lines(run: trials.Trial) -> list[dict]:
    """What a run has logged."""
    with contextlib.suppress(FileNotFoundError), open(os.path.join(run.workdir, "metrics.jsonl")) as file:
        return [json.loads(line) for line in file if line.endswith("\n")]
    return []


def main() -> int:
    out, steps, jobs, *seeds = sys.argv[1:]
    sweep.TRAIN = "tests.faults.fake_train"
    runs = plan(out, int(steps), seeds)
    with LocalPool(int(jobs)) if jobs.isdecimal() else DaskPool(jobs, jobs=2) as pool:
        return 1 if sweep.execute(runs, pool, out) else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(flags.call(main, sys.argv[:1]))
