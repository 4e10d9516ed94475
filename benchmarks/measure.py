"""Measures speed beside a reference, in one run.

    python -m benchmarks.measure --task=digits/Fo_Ha --rounds=3

`--what=step` measures training steps on noise, beside the backbone alone; every flag of launch.train is accepted.
`--what=input --folders=DIR,DIR` measures files to batches, beside a Pillow loader.
"""

import importlib

from absl import flags as absl_flags

from launch import flags

flags.define()
absl_flags.DEFINE_enum("what", "step", ["step", "input"], "what is measured: training steps, or files to batches")
absl_flags.DEFINE_integer("rounds", 5, "turns of each row or loader", lower_bound=1)
absl_flags.DEFINE_string("json", None, "file for the numbers")
absl_flags.DEFINE_list("rows", None, "--what=step: rows to measure (default: floor, all that train, gsda_plain)")
absl_flags.DEFINE_integer("turn_steps", 1, "--what=step: steps in each turn", lower_bound=1)
absl_flags.DEFINE_integer("classes", None, "--what=step: number of classes, in place of the task's", lower_bound=1)
absl_flags.DEFINE_list("folders", None, "--what=input: folders of images, each measured on its own")
absl_flags.DEFINE_integer("images", 960, "--what=input: images of each folder in each turn", 1, allow_override=True)
_ASKED = ("rounds", "json", "rows", "turn_steps", "classes", "folders", "images")


def main() -> int:
    """Measures, and prints a table."""
    values = absl_flags.FLAGS.flag_values_dict()
    asked = {name: values[name] for name in _ASKED}
    importlib.import_module(f"benchmarks.{values['what']}").main(flags.given(), **asked)
    return 0


if __name__ == "__main__":
    flags.run(main)
