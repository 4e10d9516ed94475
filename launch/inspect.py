"""Shows what a run would train on: look before you train.

    python -m launch.inspect --source_dir=photos/shop --target_dir=photos/phone

Takes the flags of launch.train.
"""

from __future__ import annotations

import os
import sys

from absl import flags as absl_flags

from gsda_tf.errors import COMMANDS

from . import flags

flags.define()
absl_flags.DEFINE_string("sheet", "", "where the picture of a batch goes (default: runs/inspect/<task>.png)")


def main() -> int:
    """Prints counts by domain and class, sizes and damaged files, and writes the picture of a batch."""
    from gsda_tf import recipes
    from gsda_tf.data import inspection
    from gsda_tf.data.checking import leave_out
    from gsda_tf.datasets.loading import index

    given = flags.given()
    settings = recipes.resolve(given)
    if chosen := recipes.chosen(given):
        print(f"Chosen: {chosen}")
    data = index(settings.data)
    facts = [inspection.examine(domain) for domain in (data.source, data.target)]
    print(inspection.describe(data, *facts), *recipes.remarks(settings, data), sep="\n")
    if not data.source.records.visible:
        return 0
    good = leave_out(data, *([index for index, _ in each.bad] for each in facts))
    path = absl_flags.FLAGS.sheet or os.path.join("runs", "inspect", f"{data.name}.png")
    centred = settings.model.keeps_features and not settings.model.feature_crops
    if centred:  # what is frozen computes its features of the centre crops alone, --feature_crops=0
        settings = settings.replace({"augmentation": "none"})
    inspection.write_png(inspection.contact_sheet(good, settings), path)
    crops = " in centre crops, which are all that a frozen backbone sees" if centred else ""
    print(f"One training batch{crops}, source above, target below: {path}")
    print(f"Open {path}. Next: {COMMANDS}.train with the same flags.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    flags.run(main)
