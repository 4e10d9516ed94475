"""Labels images with an export: `python -m launch.predict --model=DIR --images=DIR --output=predictions.csv`."""

from __future__ import annotations

import time

from absl import flags as absl_flags

from launch import flags

FLAGS = absl_flags.FLAGS
absl_flags.DEFINE_string("model", "", "export: a version's folder, or the folder of versions")
absl_flags.DEFINE_string("server", "", "ask a running TensorFlow Serving instead: grpc://HOST:PORT")
absl_flags.DEFINE_string("model_name", "gsda", "the model's name on that server")
absl_flags.DEFINE_string("images", "", "folder, pattern with * or ?, or a file with one path a line")
absl_flags.DEFINE_string("output", "predictions.csv", "where the rows go: .csv or .jsonl")
absl_flags.DEFINE_integer("batch", 64, "images asked about at once", lower_bound=1)
absl_flags.DEFINE_boolean("probabilities", False, "write every class's probability too")
absl_flags.DEFINE_boolean("score", False, "print the accuracy, where the images' folders are named as the classes")


def main() -> int:
    """Predicts and says where the rows are."""
    from gsda_tf.errors import UserError
    from gsda_tf.serving import predict

    if bool(FLAGS.model) == bool(FLAGS.server):
        raise UserError("Give either --model=EXPORT_DIR or --server=grpc://HOST:PORT.")
    if not FLAGS.images:
        raise UserError("--images is missing: expected a folder, a pattern or a list file.")
    paths = predict.find_images(FLAGS.images)
    if FLAGS.server:
        from gsda_tf.serving.client import remote_model

        model = remote_model(FLAGS.server, FLAGS.model_name)
    else:
        model = predict.local_model(FLAGS.model)
    began = time.perf_counter()
    result = predict.predict(model, paths, FLAGS.output, FLAGS.batch, FLAGS.probabilities)
    seconds = time.perf_counter() - began
    print(f"{result.images:,} images in {seconds:.1f} s ({result.images / seconds:.0f} images/s): {FLAGS.output}")
    if result.unreadable:
        print(f"{result.unreadable:,} could not be read: their rows say why in the column 'error'.")
    if FLAGS.score:
        told = "no folder is named as a class" if result.accuracy is None else f"{100 * result.accuracy:.2f} %"
        print(f"accuracy: {told}")
    return 0


if __name__ == "__main__":
    flags.run(main)
