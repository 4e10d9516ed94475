"""BSP: "Transferability vs. Discriminability: Batch Spectral Penalization" (Chen et al., ICML 2019).

    loss of DANN or CDAN + w (sigma_1(F_s)^2 + sigma_1(F_t)^2)

sigma_1 is the largest singular value of a domain's features in the batch [N, d], not centred, not divided by N: the
weight belongs to the batch size. The critic learns as CDAN's, on DANN, too; with DANN's own rate it is
`--method=dann --add=bsp`. The gradient is that of ||F v_1||^2 with v_1 stopped, 2 sigma_1 u_1 v_1', which is
finite where an SVD's is not.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from gsda_tf.methods.base import Problem, Term
from gsda_tf.methods.batch import Batch
from gsda_tf.methods.cdan import CDAN
from gsda_tf.settings import setting


def largest_singular_value_squared(features: tf.Tensor) -> tf.Tensor:
    """sigma_1(F)^2 of float32 [N, d], a scalar."""
    fixed = tf.stop_gradient(features)
    if features.shape[0] <= features.shape[1]:
        _, vectors = tf.linalg.eigh(tf.matmul(fixed, fixed, transpose_b=True))
        return tf.reduce_sum(tf.square(tf.linalg.matvec(features, vectors[:, -1], transpose_a=True)))
    _, vectors = tf.linalg.eigh(tf.matmul(fixed, fixed, transpose_a=True))
    return tf.reduce_sum(tf.square(tf.linalg.matvec(features, vectors[:, -1])))


class BSPTerm(Term):
    """Penalty on the largest singular value of each domain's features, to be added."""

    name = "bsp"

    @dataclasses.dataclass(frozen=True)
    class Options:
        bsp_weight: float = setting(1e-4, "weight of the squared largest singular values", minimum=0)

    def loss(self, b: Batch) -> tf.Tensor:
        whole = b.whole
        values = largest_singular_value_squared(whole.source) + largest_singular_value_squared(whole.target)
        return self.options.bsp_weight * b.share(values)


class BSP(CDAN):
    """CDAN, or DANN, with the spectral penalty."""

    name, title = "bsp", "BSP"

    @dataclasses.dataclass(frozen=True)
    class Options(CDAN.Options, BSPTerm.Options):
        bsp_on: str = setting("cdan", "what the penalty is added to", choices=("cdan", "dann"))
        entropy_conditioning: bool = setting(True, "weigh samples by 1 + exp(-entropy), on CDAN: CDAN+E")

    def __init__(self, problem: Problem, options: Any):
        if options.bsp_on == "dann":
            options = dataclasses.replace(options, entropy_conditioning=False, cdan_random=0)
        self.options = options
        super().__init__(problem, options)
        self._term = BSPTerm(options)

    def seen_units(self, problem: Problem) -> int:
        return problem.feature_units if self.options.bsp_on == "dann" else super().seen_units(problem)

    def seen(self, b: Batch) -> tf.Tensor:
        return b.features if self.options.bsp_on == "dann" else super().seen(b)

    def loss(self, b: Batch) -> tf.Tensor:
        return super().loss(b) + b.log("loss/bsp", self._term.loss(b))
