"""Trains on a task: `python -m launch.train --task=digits/Fo_Ha`."""

from __future__ import annotations

import sys

from gsda_tf.errors import COMMANDS

from . import flags

flags.define()


def main() -> int:
    """Trains, or goes on training; prints the result and where it lies."""
    from gsda_tf import job, tasks
    from gsda_tf.interruption import Interrupted
    from gsda_tf.training.distribution import configure_devices

    given = flags.given()
    settings = tasks.resolve(given)
    if chosen := tasks.chosen(given):
        print(f"Chosen: {chosen}", flush=True)
    configure_devices(settings.device)
    try:
        summary = job.run(settings)
    except Interrupted as interrupted:
        print(f"Stopped at step {interrupted}; checkpointed. The same command goes on from there.", file=sys.stderr)
        return flags.STOPPED
    print_summary(summary)
    return 0


def print_summary(summary: dict) -> None:
    """The result in a few lines."""
    recipe = summary["settings"].get("recipe", "default")
    rows = [("task", summary["task"]), ("method", summary["method"]), ("recipe", recipe), ("seed", summary["seed"])]
    for key in ("accuracy/source", "accuracy/target", "accuracy/target_mean_class"):
        value = summary[key]
        rows.append((key, "no labels" if value is None else f"{100 * value:.2f} %"))
    rows.append(("images per second", f"{summary['images_per_second']:.0f}"))
    rows += [("run", summary["workdir"]), ("export", summary["export_dir"] or f"none: {COMMANDS}.export writes one")]
    width = max(len(name) for name, _ in rows)
    print()
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")
    for doubt in summary["doubts"]:
        print(f"\nCaution: {doubt}")


if __name__ == "__main__":
    flags.run(main)
