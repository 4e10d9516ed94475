"""GSDA as its paper sets it (Hu et al., CVPR 2020), where it says so; `--recipe=paper`.

    python -m launch.train --task=office31/A_W --recipe=paper

Measured on Office-31 with a frozen DenseNet-169 in place of the paper's ResNet-50, 1,000 steps, three seeds: 81.8 % in
the mean of the six tasks, where the default recipe has 85.5 % (docs/results.md, "Office-31, a frozen backbone"). The
whole of it, a ResNet-50 trained for 20,000 steps, was not measured.
"""

from gsda_tf import methods
from gsda_tf.recipes.layers import Holding

SETTINGS = {
    "bottleneck_norm": "none",
    "confidence_threshold": 0.9,
    "discriminator_rate": 1.0,  # as all new layers
}


def layer(now: Holding) -> None:
    """Takes these values, and what the paper says of the method's own options."""
    if now["recipe"] == "paper":
        now.take({**SETTINGS, **methods.get_method(now["method"]).paper(now)}, "--recipe=paper")
