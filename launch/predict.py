"""Labels images with an export.

    python -m launch.predict --model=runs/digits/Fo_Ha/gsda/seed0/export --images=photos --output=predictions.csv

Interrupted, the same command goes on.
"""

import contextlib
import time

from absl import flags as absl_flags

from . import flags

FLAGS = absl_flags.FLAGS
flags.define_asked()
absl_flags.DEFINE_string(
    "output", "predictions.csv", "where the rows go: .csv, where names are no formulas (' before = + - @), or .jsonl"
)
absl_flags.DEFINE_integer("batch", 64, "images asked about at once", lower_bound=1, upper_bound=2**17)
absl_flags.DEFINE_boolean("probabilities", False, "write every class's probability too")
absl_flags.DEFINE_boolean("features", False, "write the features too")
absl_flags.DEFINE_boolean(
    "score", False, "print the accuracy, by a list's labels or where folders are named as classes"
)
flags.define_workers()


def main() -> int:
    """Predicts and says where the rows are."""
    from gsda_tf.serving import predict
    from gsda_tf.serving.model import local_model
    from gsda_tf.workers import DaskPool

    flags.need_asked()
    paths = predict.find_images(FLAGS.images)
    flags.say(f"Asking {FLAGS.model} about {len(paths):,} images ...")
    model = local_model(FLAGS.model)
    known = predict.known_classes(FLAGS.images, paths, model.class_names) if FLAGS.score else []
    pool = DaskPool(FLAGS.scheduler, FLAGS.jobs, FLAGS.threads) if FLAGS.scheduler else contextlib.nullcontext()
    wanted = [name for name in ("probabilities", "features") if FLAGS[name].value]
    began = time.perf_counter()
    with pool as workers:
        result = predict.predict(model, paths, FLAGS.output, FLAGS.batch, wanted, workers)
    seconds, fresh = time.perf_counter() - began, result.images - result.resumed
    earlier = f", {result.resumed:,} more from an interrupted run" if result.resumed else ""
    print(f"{fresh:,} images in {seconds:.1f} s ({fresh / seconds:.0f} images/s){earlier}: {FLAGS.output}")
    if result.reasons:
        print(f"{len(result.reasons):,} of {fresh:,} could not be read; the column 'error' says why:")
        print(*(f"  {path}: {reason}" for path, reason in result.reasons[:5]), sep="\n")
    if FLAGS.score:
        count, right, mean = predict.accuracies(FLAGS.output, known)
        print(
            f"accuracy: {100 * right:.2f} %, mean over classes {100 * mean:.2f} %, of {count:,} readable images with a "
            "label or in folders named as classes"
            if count
            else "accuracy: no label and no folder is named as a class"
        )
    flags.say(f"Open {FLAGS.output}. Next: look at the rows of the lowest agreement, or else score, first.")
    return 0


if __name__ == "__main__":
    flags.run(main)
