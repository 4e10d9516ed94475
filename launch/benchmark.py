"""Measures speed beside a reference: `python -m launch.benchmark --what=input --folders=DIR,DIR`."""

from __future__ import annotations

from absl import flags as absl_flags

from launch import flags

absl_flags.DEFINE_enum("what", "input", ["input"], "what is measured; input: files to batches, beside a Pillow loader")
absl_flags.DEFINE_list("folders", None, "folders of images, each measured on its own, for --what=input")
absl_flags.DEFINE_integer("images", 960, "images of each folder in each turn", lower_bound=1)
absl_flags.DEFINE_integer("rounds", 3, "turns of each loader on each folder", lower_bound=1)
absl_flags.DEFINE_integer("seed", 0, "of the order and the crops", lower_bound=0)


def main() -> int:
    """Measures, and prints a table."""
    from gsda_tf.benchmarking import input as input_benchmark
    from gsda_tf.errors import UserError

    given = absl_flags.FLAGS
    if not given.folders:
        raise UserError("--what=input needs --folders=DIR[,DIR]: folders of images to read.")
    print(input_benchmark.describe(input_benchmark.run(given.folders, given.images, given.rounds, given.seed)))
    return 0


if __name__ == "__main__":
    flags.run(main)
