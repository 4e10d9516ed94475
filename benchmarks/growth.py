"""Measures how the cost of a run grows with images, classes, candidates and workers, each run a command of its own.

    python -m benchmarks.growth --what=images,classes,candidates,workers

Made features, of which a class is a cloud of points, take the place of a frozen backbone's. Seconds are by the clock,
and those of processors, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gsda_tf.tables import Table

FEATURES = 128
HEAD = ("", "start, s", "ms/step", "all, s", "processor s", "peak GiB")


def write_features(folder: str, images: int, classes: int) -> list[str]:
    """Writes both domains, and returns the flags that name them."""
    centres = np.random.default_rng(0).normal(size=(classes, FEATURES)).astype(np.float32)
    flags = ["--pipeline=arrays"]
    for seed, role in enumerate(("source", "target")):
        path = os.path.join(folder, f"{role}-{images}-{classes}.npz")
        rng, labels = np.random.default_rng(seed + 1), np.arange(images, dtype=np.int32) % classes
        if not os.path.exists(path):
            features = rng.standard_normal(size=(images, FEATURES), dtype=np.float32)
            np.savez(path, features=features + centres[labels] + 0.5 * seed, labels=labels)
        flags.append(f"--{role}={path}")
    return flags


def run(command: str, flags: Sequence[str], workdir: str) -> dict[str, float]:
    """Runs a command to its end.

    Returns:
      Seconds until it trained ("start"), "all", and of processors ("cpu"); "peak" GiB; of a single run "step", seconds.
    """
    began = time.monotonic()
    where = f"--{'out' if command == 'sweep' else 'workdir'}={workdir}"
    line = [sys.executable, "-m", f"launch.{command}", *flags, where, "--noexport", "--noreport"]
    process, start = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), None
    for said in process.stdout:
        if start is None and said.startswith("training ..."):
            start = time.monotonic() - began
        last = said
    _, status, used = os.wait4(process.pid, 0)
    process.stdout.close()
    if status:
        print(f"{' '.join(line)} ended with {os.waitstatus_to_exitcode(status)}: {last}", file=sys.stderr, flush=True)
    found = {"start": start, "all": time.monotonic() - began, "cpu": used.ru_utime + used.ru_stime}
    found["peak"] = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**30
    path = os.path.join(workdir, "summary.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            summary = json.load(file)
        settings = summary["settings"]
        images = settings["source_batch"] + settings["target_batch"]
        found["step"] = images / summary["images_per_second"] if summary["images_per_second"] else None
        found["units"] = settings["discriminator_units"]
    return found


def cases(what: str, folder: str, sizes: Sequence[int] | None) -> Iterator[tuple[str, str, list[str]]]:
    """The commands of a table: (name of the row, command, flags)."""
    if what == "images":
        for images in sizes or (10**3, 10**4, 10**5, 10**6):
            data = [*write_features(folder, images, 31), "--bottleneck_units=128"]
            yield (
                f"{images:,} images a domain, MCC",
                "train",
                [*data, "--method=mcc", "--steps=300"],
            )
    elif what == "classes":
        for classes in sizes or (10, 100, 1000, 5000):
            data = write_features(folder, max(2 * classes, 1000), classes)
            for name in ("gsda", "cdan", "mcc"):
                yield f"{classes:,} classes, {name}", "train", [*data, f"--method={name}", "--steps=20"]
    elif what == "candidates":
        pool = ("source_only", "gsda", "mcc", "cdan", "dann", "bsp", "afn", "mdd", "dan", "jan", "rtn")
        for count in sizes or (1, 2, 4, 6, 11):
            flags = [*write_features(folder, 1000, 10), "--method=auto", "--steps=500", "--candidate_seeds=1"]
            yield f"{count} candidates", "train", [*flags, f"--candidates={','.join(pool[:count])}"]
    elif what == "workers":
        for jobs in sizes or (1, 2):
            flags = [*write_features(folder, 1000, 10), "--methods=source_only,mcc", "--seeds=0,1", "--steps=2000"]
            yield f"a sweep of 4 runs, {jobs} at once", "sweep", [*flags, f"--jobs={jobs}"]


def main() -> None:
    """Measures, and prints tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", default="images,classes,candidates,workers")
    parser.add_argument("--sizes", help="in place of those of the table, with commas between")
    parser.add_argument("flags", nargs="*", help="flags of every run")
    asked = parser.parse_args()
    sizes = [int(size) for size in asked.sizes.split(",")] if asked.sizes else None
    with tempfile.TemporaryDirectory() as folder:
        for what in asked.what.split(","):
            rows: list[tuple[Any, ...]] = []
            for number, (name, command, flags) in enumerate(cases(what, folder, sizes)):
                found = run(command, [*flags, *asked.flags], os.path.join(folder, f"{what}{number}"))
                step, start = found.get("step"), found["start"]
                told = ("" if start is None else f"{start:.1f}", "" if step is None else f"{1000 * step:.1f}")
                units = "-".join(map(str, found.get("units", ())))
                rows.append(
                    (
                        f"{name}{f', critics {units}' if units and 'gsda' in name else ''}",
                        *told,
                        *(f"{found[key]:.1f}" for key in ("all", "cpu", "peak")),
                    )
                )
                print(*rows[-1], sep="; ", file=sys.stderr, flush=True)
            print(Table(HEAD, rows).markdown(), flush=True)


if __name__ == "__main__":
    main()
