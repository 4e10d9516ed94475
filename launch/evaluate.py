"""Scores a run again from its checkpoint.

    python -m launch.evaluate --workdir=runs/digits/Fo_Ha/gsda/seed0

Images, lists and arrays are read where the run read them, unless their new place is given. New labelled images of the
target tell how good a run is on what it has not seen, and by how much it beats source only, if that was trained beside:

    python -m launch.evaluate --workdir=RUN --target_dir=photos/checked
"""

import os

from absl import flags as absl_flags

from gsda_tf.errors import COMMANDS
from gsda_tf.settings import names

from . import flags

flags.define(["workdir", *names("restoring")])
flags.define_step()
_TARGETS = ("target_dir", "target_list", "target")


def main() -> int:
    """Prints the accuracies and writes the confusion matrix as a picture into the workdir."""
    workdir, given = flags.run_folder()
    from gsda_tf.evaluation.accuracy import confusion_matrix, difference, interval, told
    from gsda_tf.files import write_atomically
    from gsda_tf.reporting import figures
    from gsda_tf.reporting.runs import beside, load_run
    from gsda_tf.training.evaluator import Evaluator
    from gsda_tf.training.experiment import restore

    experiment, step = restore(workdir, absl_flags.FLAGS.step, **given)
    data = experiment.data
    flags.say(f"Evaluating step {step} ...")
    evaluation = Evaluator(data, experiment.settings.data, experiment.inference, experiment.inputs)()
    rows = [("task", data.name), ("method", experiment.method.name), ("step", str(step))]
    accuracies = {**evaluation.scores, "target_sample": evaluation.sample, "source_scored": data.source_scored}
    for name, value in evaluation.scores.items():
        if name.startswith("accuracy/"):
            rows.append((name, told(accuracies, name)))
        else:
            rows.append((name.removeprefix("score/").replace("_", " "), "unknown" if value is None else f"{value:.4f}"))
    if data.target.labelled:
        known = data.target.labels >= 0
        predictions, labels = evaluation.target.predictions[known], data.target.labels[known]
        if not evaluation.sample:
            low, high = interval(evaluation.scores["accuracy/target"], len(labels))
            rows.append(("its 95 % interval", f"{100 * low:.1f} to {100 * high:.1f} %, by {len(labels):,} images"))
        other = beside(load_run(workdir)) if set(given) & set(_TARGETS) else None
        if other is not None:
            plain, _ = restore(other.workdir, **given)
            right = [each == labels for each in (predictions, plain.inference(plain.inputs.target).predictions[known])]
            gain, low, high = (100 * value for value in difference(*right))
            rows.append(("against source only", f"{gain:+.1f} points ({low:+.1f} to {high:+.1f})"))
        path = os.path.join(workdir, "confusion_matrix.png")
        counts = confusion_matrix(predictions, labels, len(data.class_names))
        matrix = figures.confusion(counts, data.class_names)
        if matrix:
            write_atomically(path, figures.png(matrix))
            rows.append(("confusion matrix", path))
    flags.show(rows)
    flags.say(f"Next: {COMMANDS}.report --workdir={workdir} makes the page of the run.")
    return 0


if __name__ == "__main__":
    flags.run(main)
