"""Scores a run again from its checkpoint.

    python -m launch.evaluate --workdir=runs/digits/Fo_Ha/gsda/seed0

Images, lists and arrays are read where the run read them, unless their new place is given.
"""

from __future__ import annotations

import os
import sys

from absl import flags as absl_flags

from gsda_tf.errors import COMMANDS
from gsda_tf.settings import names

from . import flags

flags.define(["workdir", "evaluation_batch", *names("restoring")])
flags.define_step()


def main() -> int:
    """Prints the accuracies and writes the confusion matrix as a picture into the workdir."""
    workdir, given = flags.run_folder()
    from gsda_tf.evaluation.accuracy import confusion_matrix
    from gsda_tf.files import write_atomically
    from gsda_tf.reporting import figures
    from gsda_tf.training.evaluator import Evaluator
    from gsda_tf.training.experiment import restore

    experiment, step = restore(workdir, absl_flags.FLAGS.step, **given)
    data = experiment.data
    evaluation = Evaluator(data, experiment.settings.data, experiment.inference, experiment.inputs)()
    rows = [("task", data.name), ("method", experiment.method.name), ("step", str(step))]
    for name, value in evaluation.scores.items():
        if name.startswith("accuracy/"):
            rows.append((name, "no labels" if value is None else f"{100 * value:.2f} %"))
        else:
            rows.append((name.removeprefix("score/").replace("_", " "), "unknown" if value is None else f"{value:.4f}"))
    if data.target.labelled:
        path = os.path.join(workdir, "confusion_matrix.png")
        counts = confusion_matrix(evaluation.target.predictions, data.target.labels, len(data.class_names))
        matrix = figures.confusion(counts, data.class_names)
        if matrix:
            write_atomically(path, figures.png(matrix))
            rows.append(("confusion matrix", path))
    flags.show(rows)
    print(f"Next: {COMMANDS}.report --workdir={workdir} makes the page of the run.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    flags.run(main)
