"""Labels images with an export.

    python -m launch.predict --model=runs/digits/Fo_Ha/gsda/seed0/export --images=photos --output=predictions.csv

Interrupted, the same command goes on.
"""

import contextlib
import functools
import time

from absl import flags as absl_flags

from . import flags

FLAGS = absl_flags.FLAGS
flags.define_asked()
absl_flags.DEFINE_string("server", "", "ask a running TensorFlow Serving instead: grpc://HOST:PORT")
absl_flags.DEFINE_string("model_name", "gsda", "the model's name on that server")
absl_flags.DEFINE_float(
    "timeout", 60.0, "seconds that server may take for one batch", lower_bound=0.001, upper_bound=1e6
)
absl_flags.DEFINE_string(
    "output",
    "predictions.csv",
    "where the rows go, here, or gs://, s3://: .csv, where names are no formulas (' before = + - @), or .jsonl",
)
absl_flags.DEFINE_integer("batch", 64, "images asked about at once", lower_bound=1, upper_bound=2**17)
absl_flags.DEFINE_boolean("probabilities", False, "write every class's probability too")
absl_flags.DEFINE_boolean("features", False, "write the features too")
absl_flags.DEFINE_boolean(
    "score", False, "print the accuracy, by a list's labels or where folders are named as classes"
)
absl_flags.DEFINE_string(
    "scheduler", "", "have the workers of this Dask scheduler answer, such as tcp://host:8786; local: of one of its own"
)
absl_flags.DEFINE_integer("jobs", 1, "workers of --scheduler=local", lower_bound=1, upper_bound=1024)
absl_flags.DEFINE_integer("threads", 0, "threads of each of them; 0: its share of the cores", lower_bound=0)
absl_flags.DEFINE_boolean("restart", False, "drop the rows that an interrupted run with other flags left")


def main() -> int:
    """Predicts and says where the rows are."""
    from gsda_tf.errors import UserError
    from gsda_tf.serving import predict, rows

    if bool(FLAGS.model) == bool(FLAGS.server):
        raise UserError("Give either --model=EXPORT_DIR or --server=grpc://HOST:PORT.")
    if not FLAGS.images:
        raise UserError("--images is missing: expected a folder, a pattern or a list file.")
    paths = predict.find_images(FLAGS.images)
    flags.say(f"Asking {FLAGS.model or FLAGS.server} about {len(paths):,} images ...")
    model = _model()
    known = predict.known_classes(FLAGS.images, paths, model.class_names) if FLAGS.score else None
    began = time.perf_counter()
    try:
        with contextlib.ExitStack() as pools:
            result = predict.predict(
                model,
                paths,
                FLAGS.output,
                FLAGS.batch,
                FLAGS.probabilities,
                FLAGS.features,
                FLAGS.restart,
                _spread(pools) if FLAGS.scheduler else None,
                known,
            )
    except KeyboardInterrupt:
        flags.say(f"Stopped. The same command goes on from {rows.partial_path(FLAGS.output)}.")
        return flags.STOPPED
    _print(result, time.perf_counter() - began)
    sure = "agreement" if result.agreement else "score"
    flags.say(f"Open {FLAGS.output}. Next: look at the rows of the lowest {sure} first.")
    return 0


def _model():
    if FLAGS.server:
        from gsda_tf.serving.client import remote_model

        return remote_model(FLAGS.server, FLAGS.model_name, FLAGS.timeout)
    from gsda_tf.serving.model import local_model

    return local_model(FLAGS.model)


def _spread(pools: contextlib.ExitStack):
    from gsda_tf.serving.shards import answered
    from gsda_tf.workers import DaskPool

    pool = pools.enter_context(DaskPool(FLAGS.scheduler, FLAGS.jobs, FLAGS.threads))
    where = (FLAGS.server, FLAGS.model_name, FLAGS.timeout) if FLAGS.server else (FLAGS.model,)
    return functools.partial(answered, pool, where)


def _print(result, seconds: float) -> None:
    fresh = result.images - result.resumed
    earlier = f", {result.resumed:,} more from an interrupted run" if result.resumed else ""
    print(f"{fresh:,} images in {seconds:.1f} s ({fresh / seconds:.0f} images/s){earlier}: {FLAGS.output}")
    if result.reasons:
        print(f"{len(result.reasons):,} of {result.images:,} could not be read; the column 'error' says why:")
        print(*(f"  {path}: {reason}" for path, reason in result.reasons[:5]), sep="\n")
    if FLAGS.score and result.accuracy is None:
        print("accuracy: no label and no folder is named as a class")
    elif FLAGS.score:
        print(
            f"accuracy: {100 * result.accuracy:.2f} %, mean over classes {100 * result.mean_class_accuracy:.2f} %, of "
            f"{result.scored:,} readable images with a label or in folders named as classes"
        )


if __name__ == "__main__":
    flags.run(main)
