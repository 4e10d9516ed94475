"""Picks target images that are worth a label.

    python -m launch.pick --workdir=RUN --count=40

Fill in the second column of RUN/labels.csv, and train with --target_labels=RUN/labels.csv in another --workdir.
"""

from absl import flags as absl_flags

from gsda_tf.errors import COMMANDS
from gsda_tf.settings import names

from . import flags

flags.define(["workdir", *names("restoring")])
absl_flags.DEFINE_integer("count", 40, "images to label; half of them are drawn at random, to score", 1, 100_000)


def main() -> int:
    """Writes the list and the page of images, and says where they are."""
    from gsda_tf.reporting.picks import write_picks

    workdir, given = flags.run_folder()
    path, page = write_picks(workdir, absl_flags.FLAGS.count, **given)
    print(path)
    look = f"Look at {page}, and fill" if page else "Fill"
    flags.say(f"{look} in the second column of {path}. Next: {COMMANDS}.train --target_labels={path}")
    return 0


if __name__ == "__main__":
    flags.run(main)
