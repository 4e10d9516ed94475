"""A sweep of `fake_train` in a process of its own: `python -m tests.faults.fake_sweep OUT STEPS JOBS SEED...`."""

import json
import os
import sys

from gsda_tf.errors import UserError
from gsda_tf.files import write_atomically
from gsda_tf.reporting import sweep
from gsda_tf.work import LocalPool


def plan(out: str, steps: int, seeds) -> list[sweep.Run]:
    runs = sweep.plan("digits", ["Fo_Ha"], ["source_only"], [int(seed) for seed in seeds], {"steps": steps}, out)
    for run in runs:
        wanted = os.path.join(run.workdir, "wanted.json")
        if not os.path.exists(wanted):
            write_atomically(wanted, json.dumps({"settings": run.settings.flat()}))
    return runs


def main(pool=LocalPool) -> int:
    out, steps, jobs, *seeds = sys.argv[1:]
    sweep.TRAIN = "tests.faults.fake_train"
    try:
        failures = sweep.execute(plan(out, int(steps), seeds), pool(int(jobs)), out)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
