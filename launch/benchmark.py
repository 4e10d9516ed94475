"""Measures speed beside a reference, in one run.

    python -m launch.benchmark --task=digits/Fo_Ha --rounds=3

`--what=step` measures training steps on noise, beside the backbone alone; every flag of launch.train is accepted.
`--what=input --folders=DIR,DIR` measures files to batches, beside a Pillow loader. What is measured stands in
`benchmarks/` of the repository, which is not installed.
"""

from __future__ import annotations

import importlib.util
import json
import sys

from absl import flags as absl_flags

from gsda_tf.errors import UserError

from . import flags

flags.define()
absl_flags.DEFINE_enum("what", "step", ["step", "input"], "what is measured: training steps, or files to batches")
absl_flags.DEFINE_integer("rounds", 5, "turns of each row or loader", lower_bound=1)
absl_flags.DEFINE_string("json", None, "file for the numbers")
absl_flags.DEFINE_list("rows", None, "--what=step: rows to measure (default: floor, all that train, gsda_plain)")
absl_flags.DEFINE_integer("turn_steps", 1, "--what=step: steps in each turn", lower_bound=1)
absl_flags.DEFINE_integer("classes", None, "--what=step: number of classes, in place of the task's", lower_bound=1)
absl_flags.DEFINE_list("folders", None, "--what=input: folders of images, each measured on its own")
absl_flags.DEFINE_integer("images", 960, "--what=input: images of each folder in each turn", lower_bound=1)


def main() -> int:
    """Measures, and prints a table.

    Raises:
      UserError: the measurements are not here, as they are not installed with the package.
    """
    if importlib.util.find_spec("benchmarks") is None:
        raise UserError(
            "The benchmarks are not installed with the package: clone its repository, and run python -m "
            "launch.benchmark there. They lie in its folder benchmarks/."
        )
    return {"step": _step, "input": _input}[absl_flags.FLAGS.what]()


def _step() -> int:
    from benchmarks import step as step_benchmark
    from gsda_tf import recipes
    from gsda_tf.files import write_atomically
    from gsda_tf.training.distribution import configure_devices

    values = absl_flags.FLAGS
    settings = recipes.resolve(flags.given())
    configure_devices(settings.device)
    rows = values.rows or step_benchmark.DEFAULT_ROWS
    result = step_benchmark.run(settings, rows, values.rounds, values.turn_steps, values.classes)
    print(step_benchmark.describe(result))
    if values.json:
        write_atomically(values.json, json.dumps(result.as_json(), indent=2) + "\n")
        print(values.json)
    else:
        print("Next: --json=FILE keeps the numbers.", file=sys.stderr)
    return 0


def _input() -> int:
    from benchmarks import input as input_benchmark

    values = absl_flags.FLAGS
    if not values.folders:
        raise UserError("--what=input needs --folders=DIR[,DIR]: folders of images to read.")
    seed = flags.given().get("seed", 0)
    print(input_benchmark.describe(input_benchmark.run(values.folders, values.images, values.rounds, seed)))
    return 0


if __name__ == "__main__":
    flags.run(main)
