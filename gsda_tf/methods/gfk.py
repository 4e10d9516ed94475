"""GFK: "Geodesic Flow Kernel for Unsupervised Domain Adaptation" (Gong et al., CVPR 2012). In closed form.

P_s, P_t [e, m]: principal components of the domains, each centred by itself. Between the subspaces runs a geodesic
Phi(t), t in 0..1, and G = int Phi(t) Phi(t)' dt, in closed form by the principal angles. The features are mapped by L
with L L' = G, so that Euclidean distance after it is the kernel's.
"""

from typing import Any

import numpy as np

from gsda_tf.errors import UserError
from gsda_tf.methods.base import setting
from gsda_tf.methods.closed_form import ClosedForm


def principal_components(x: np.ndarray, count: int) -> np.ndarray:
    """Orthonormal [e, m] of the leading directions of x [n, e], centred."""
    _, _, vectors = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    return vectors[:count].T


def geodesic_factor(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """L, float64 [e, 2m], with L L' = G, of orthonormal bases [e, m].

    Each angle theta has a 2x2 block [[a, b], [b, c]] with a = 1/2 (1 + sin 2theta / 2theta), b = 1/2 (1 - cos 2theta) /
    2theta, c = 1/2 (1 - sin 2theta / 2theta); at theta = 0 it is [[1, 0], [0, 0]].
    """
    left, cosines, right = np.linalg.svd(source.T @ target)
    theta = np.arccos(np.clip(cosines, -1.0, 1.0))
    beyond = target @ right.T - source @ (left * cosines)  # sin theta times directions orthogonal to the source
    sines = np.linalg.norm(beyond, axis=0)
    # Where the subspaces touch there is no direction, and its block is 0.
    beyond = np.divide(beyond, sines, out=np.zeros_like(beyond), where=sines > 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        sinc = np.where(theta > 1e-8, np.sin(2 * theta) / (2 * theta), 1.0)
        slope = np.where(theta > 1e-8, (1 - np.cos(2 * theta)) / (2 * theta), 0.0)
    blocks = 0.5 * np.stack([np.stack([1 + sinc, slope], -1), np.stack([slope, 1 - sinc], -1)], -2)  # [m, 2, 2]
    values, vectors = np.linalg.eigh(blocks)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    directions = np.stack([source @ left, beyond], axis=-1)  # [e, m, 2]
    return np.einsum("emi,mij->emj", directions, roots).reshape(len(source), -1)


class GFK(ClosedForm):
    """The geodesic flow between the domains' subspaces."""

    name, title = "gfk", "GFK"
    weak = {**ClosedForm.weak, "frozen": "its two subspaces hold less than a classifier of all features uses"}

    class Options(ClosedForm.Options):
        gfk_units: int = setting(20, "m, dimensions of each domain's subspace", minimum=1, maximum=2048)

    def units(self) -> int:
        problem = self.problem
        most = min(problem.embedding_units // 2, problem.num_source - 1, problem.num_target - 1)
        if most < 1:
            raise UserError(
                f"--method=gfk needs two images of each domain: {problem.num_source:,} of the source and "
                f"{problem.num_target:,} of the target found."
            )
        self.count = min(self.options.gfk_units, most)
        return 2 * self.count

    def facts(self) -> dict[str, Any]:
        return {"subspace_units": self.count}

    def matrix(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        return geodesic_factor(*(principal_components(x, self.count) for x in (source, target)))
