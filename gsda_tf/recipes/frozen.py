"""A backbone that is frozen, whole or for the most part: what it makes of the images is computed once, and a step
takes little.

    python -m launch.train --task=office31/A_W --extractor=densenet169 --freeze_backbone --steps=1000

Measured on Office-31 with discriminators of 64, three seeds, in the mean of the six tasks: GSDA 85.5 %, with MCC on top
88.5 %, source only 80.4 % (docs/results.md, "Office-31, a frozen backbone").
"""

from gsda_tf import methods
from gsda_tf.recipes.layers import Holding, regime

SETTINGS = {"discriminator_units": (256, 256)}  # beside features that lie on disk, wide critics are all the work
OWN = {"steps": 2000}
"""Of a user's own images. With 31 classes 1,000 lost up to 5 points and 4,000 gained up to 2 with MCC; with ten classes
the three were level (docs/trials.md, "Own images on a frozen backbone")."""

OWN_METHOD = "spl"
"""Where no method is named for images of one's own: over 34 pairs of tasks and backbones it was 3.7 points or more
above each other candidate of `--method=auto` in the mean, and never below source only (docs/choosing.md)."""


def layer(now: Holding) -> None:
    """Takes what follows from a backbone that is frozen, whole or in part."""
    if not (now["freeze_backbone"] or now["train_from"]):
        return
    why = "the backbone is frozen" if now["freeze_backbone"] else "most of the backbone is frozen"
    now.take({**SETTINGS, **(OWN if now.own else {})}, why, gentle=True)
    if now["freeze_backbone"] and now["recipe"] != "paper":
        regime(now, "frozen", {}, f"{methods.label(now['method'], now['add'])} on a frozen backbone")
