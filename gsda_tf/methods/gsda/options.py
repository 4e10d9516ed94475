"""Options of GSDA, and of the rows of its ablation, which have fewer."""

import dataclasses

from gsda_tf.methods.base import setting


@dataclasses.dataclass(frozen=True)
class LevelOptions:
    """Options of every row of the ablation."""

    alpha: float = setting(
        0.02,
        "weight of the target's conditional entropy, equation (5); 0.1 where a pretrained backbone is trained, "
        "whole or by --train_from, if neither you nor the benchmark nor --recipe=paper sets it", minimum=0,
    )  # fmt: skip
    alpha_ramp: float = setting(
        0.0, "rate g of the ramp alpha (2/(1 + exp(-g p)) - 1) over the progress p; 0: alpha from the start",
        minimum=0,
    )  # fmt: skip
    adversarial_weight: float = setting(
        1.0, "total strength of what the discriminators send into the extractor, shared by the levels", minimum=0
    )
    adversarial_ramp: float = setting(10.0, "rate g of the ramp 2/(1 + exp(-g p)) - 1 of that strength", minimum=0)


@dataclasses.dataclass(frozen=True)
class GroupOptions(LevelOptions):
    """Options of the rows that have groups."""

    num_groups: tuple[int, ...] = setting(
        (), "groups of classes, one number for each level of groups (default: one group for every five classes)"
    )
    groups_file: str = setting(
        "", "JSON file with lists of class names to use as groups; they may overlap",
        path=True, excludes=("num_groups",),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class GSDAOptions(GroupOptions):
    """Options of GSDA itself."""

    beta: float = setting(1.0, "weight of the gradient synchronization, equations (13) and (16)", minimum=0)
    slopes: str = setting(
        "auto",
        "how the feature gradients are found: by nested tapes, or with two thirds of the products, which differs in "
        "the last digits; auto: by tapes where a pretrained backbone is trained, beside which they cost nothing",
        choices=("auto", "tapes", "closed_form"),
    )
