"""Shows what a run would train on: look before you train.

    python -m launch.inspect --source_dir=photos/shop --target_dir=photos/phone

Takes the flags of launch.train. With --extractor=a,b --freeze_backbone it compares the backbones, too, for which their
features are computed.
"""

import os

from absl import flags as absl_flags

from gsda_tf.errors import COMMANDS
from gsda_tf.settings import several

from . import flags

flags.define(pool=True)
absl_flags.DEFINE_boolean(
    "rehearse", True, "try the backbone and some steps: how far apart, what is odd, how long; compare several backbones"
)
absl_flags.DEFINE_string("sheet", "", "where the picture of a batch goes (default: runs/inspect/<task>.png)")


def main() -> int:
    """Prints what there is to know of the data and the run that would be, and writes the picture of a batch."""
    from gsda_tf import recipes
    from gsda_tf.choosing import auto, backbones, rehearsal
    from gsda_tf.data import inspection
    from gsda_tf.data.checking import find_bad, leave_out
    from gsda_tf.datasets.loading import index
    from gsda_tf.training.distribution import configure_devices

    given, seeds = flags.given(), 1
    if given.get("method") == auto.NAME:
        pool, given = auto.split(given)
        runs, seeds = auto.first_runs(given, pool), pool.candidate_seeds
        print(f"Chosen: --method=auto trains {', '.join(runs)}, {seeds} runs of each that has a seed")
        given["method"] = auto.PLAIN
    else:
        runs = {given.get("method", "gsda"): recipes.resolve(given)}
    settings = next(iter(runs.values()))
    if chosen := recipes.reasoned(given)[1]:
        print(f"Chosen: {chosen}")
    data = index(settings.data)
    bad = [find_bad(domain) for domain in (data.source, data.target)]
    print(inspection.describe(data, *bad), *recipes.remarks(settings, data), sep="\n")
    good = leave_out(data, *([index for index, _ in each] for each in bad))
    print(inspection.describe_batch(good, settings))
    path = absl_flags.FLAGS.sheet or os.path.join("runs", "inspect", f"{data.name}.png")
    if data.source.records.visible:
        centred = settings.model.keeps_features
        if centred:  # what is frozen computes its features of the centre crops alone
            settings = settings.replace({"augmentation": "none"})
        inspection.write_sheet(good, settings, path)
        crops = " in centre crops, which are all that a frozen backbone sees" if centred else ""
        print(f"One training batch{crops}, source above, target below: {path}")
    if absl_flags.FLAGS.rehearse:
        configure_devices(settings.device)
        print("Trying the backbone on some images, and some steps ...")
        print(*rehearsal.rehearse(runs, good, seeds), sep="\n")
        if len(several(settings.model.extractor)) > 1:
            print(f"\n{backbones.compare(settings, good)}")
    look = f"Open {path}. " if data.source.records.visible else ""
    flags.say(f"{look}Next: {COMMANDS}.train with the same flags.")
    return 0


if __name__ == "__main__":
    flags.run(main)
