"""Trains on a task: `python -m launch.train --task=digits/Fo_Ha`, which needs no download.

Own folders, one a class; the target's may be one flat folder of images without labels:

    python -m launch.train --source_dir=photos/shop --target_dir=photos/phone

A benchmark that you downloaded:

    python -m launch.train --task=office31/A_W --manual_dir=downloads

No GPU: the backbone's features are computed once, what follows takes minutes; several methods on them, of which one is
taken without a label of the target:

    python -m launch.train --source_dir=photos/shop --target_dir=photos/phone --extractor=densenet169 \\
    --freeze_backbone --method=auto
"""

import os

from gsda_tf.errors import COMMANDS

from . import flags

flags.define(pool=True)


def main() -> int:
    """Trains, or goes on training; prints the result and where it lies."""
    from gsda_tf import job

    summary = job.adapt(flags.given())
    print_summary(summary)
    flags.say(next_step(summary))
    return 0


def next_step(summary: dict) -> str:
    """Returns what to open and to do with a finished run."""
    workdir = summary["workdir"]
    page = os.path.join(workdir, "report.html")
    made = f"Open {page}." if os.path.exists(page) else f"{COMMANDS}.report --workdir={workdir} makes its page."
    if summary["export_dir"]:
        after = f"{COMMANDS}.predict --model={os.path.join(workdir, 'export')} --images=DIR labels new images."
    else:
        after = f"{COMMANDS}.export --workdir={workdir} writes the model."
    return f"{made} Next: {after}"


def print_summary(summary: dict) -> None:
    """The result in a few lines."""
    from gsda_tf.evaluation.accuracy import OPEN, told

    recipe = summary["settings"].get("recipe", "default")
    rows = [("task", summary["task"]), ("method", summary["method"]), ("recipe", recipe), ("seed", summary["seed"])]
    accuracies = ("accuracy/source", "accuracy/target", "accuracy/target_mean_class", *OPEN)
    rows += [(key, told(summary, key)) for key in accuracies if key in summary]
    if summary["images_per_second"]:  # what is fitted has none
        rows.append(("images per second", f"{summary['images_per_second']:.0f}"))
    rows += [("run", summary["workdir"]), ("export", summary["export_dir"] or f"none: {COMMANDS}.export writes one")]
    flags.show(rows)
    if "choice" in summary:
        print(f"\n{summary['choice']}\n{summary['advice']}")
    for doubt in (*summary["doubts"], *summary.get("warnings", ())):
        print(f"\nCaution: {doubt}")


if __name__ == "__main__":
    flags.run(main)
