"""Stands in for launch.train where only its manners count: it locks its folder, logs steps, stops, goes on, fails.

A run of the seed 9 fails, one of the seed 8 heeds no request to stop. A file `hold` in its folder keeps it at step 10
until the file goes. What its summary says of the settings is what `fake_sweep` has put into its folder.
"""

import json
import os
import signal
import sys
import time

from gsda_tf.errors import BusyError
from gsda_tf.files import locked, write_atomically
from tests.runs.made import SUMMARY


def main() -> int:
    given = dict(flag[2:].split("=", 1) for flag in sys.argv[1:] if "=" in flag)
    workdir, steps, stop = given["workdir"], int(given["steps"]), []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    print(f"begins, process {os.getpid()}", flush=True)
    if given["seed"] == "9":
        print("Error: seed 9 fails.", flush=True)
        return 2
    try:
        with locked(os.path.join(workdir, ".lock")):
            _train(workdir, given["seed"], steps, stop)
    except BlockingIOError:
        return BusyError.exit_code
    return BusyError.exit_code if stop else 0


def _train(workdir: str, seed: str, steps: int, stop: list) -> None:
    log = os.path.join(workdir, "metrics.jsonl")
    with open(log, "a+", encoding="utf-8") as file:
        file.seek(0)
        done = len(file.readlines())
        if done:
            print(f"Going on from step {done}", flush=True)
        for step in range(done + 1, steps + 1):
            while step > 10 and os.path.exists(os.path.join(workdir, "hold")) and (not stop or seed == "8"):
                time.sleep(0.02)
            if stop and seed != "8":
                return
            file.write(json.dumps({"step": step, "process": os.getpid()}) + "\n")
            file.flush()
    with open(os.path.join(workdir, "wanted.json"), encoding="utf-8") as file:
        summary = {**SUMMARY, "step": steps, "steps": steps, **json.load(file)}
    write_atomically(os.path.join(workdir, "summary.json"), json.dumps(summary))


if __name__ == "__main__":
    sys.exit(main())
