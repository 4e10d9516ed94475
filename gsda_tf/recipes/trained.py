"""A pretrained backbone that is trained, whole or from a place on.

    python -m launch.train --task=office31/A_W --extractor=mobilenet_0.75 --train_from=stage5 --steps=300

Measured on Office-31 with discriminators of 64, three seeds, in the mean of the six tasks: GSDA 76.5 %, source only
71.9 %; about a minute and a half a run on one CPU core (docs/results.md, "Office-31, the backbone trained"). How the
width, and GSDA's alpha, were chosen: docs/trials.md.
"""

from gsda_tf import methods
from gsda_tf.recipes.layers import Holding, regime

SETTINGS = {"bottleneck_units": 1024}  # gains 3 to 5 points with GSDA and MCC, costs nothing with any method


def layer(now: Holding) -> None:
    """Takes what follows from a pretrained backbone that moves."""
    if (now.pretrained or now["train_from"]) and not now["freeze_backbone"] and now["recipe"] != "paper":
        trains = bool(methods.get_method(now["method"]).phases)  # what is fitted trains nothing
        regime(now, "trained", SETTINGS if trains else {}, "a pretrained backbone is trained")
