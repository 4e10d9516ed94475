"""TCA: "Domain Adaptation via Transfer Component Analysis" (Pan et al., IEEE TNN 2011). In closed form.

K = X X' of all samples, scaled to length 1 [n, n]; L = e e', e_i = 1/ns or -1/nt, so that tr(K L) is MMD^2; and
H = I - 11'/n. The m leading w of  K H K w = theta (K L K + mu I) w  give the embedding K W = X (X' W), a linear map
A = X' W [e, m], whose rows are scaled to length 1 again (the field does). The pair is symmetric and definite, and is
solved as such: the product (K L K + mu I)^-1 K H K is not symmetric, and a symmetric solver on it is wrong.
"""

import numpy as np
import scipy.linalg

from gsda_tf.errors import UserError
from gsda_tf.methods.base import setting
from gsda_tf.methods.closed_form import ClosedForm

_MOST = 12_000
"""Samples: five matrices of n x n in float64 are then 5.8 GB."""


def transfer_components(kernel: np.ndarray, num_source: int, mu: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The leading generalized eigenvectors.

    Args:
      kernel: K, float64 [n, n], source first.
      num_source: ns.
      mu: of the regularization.
      count: m.

    Returns:
      (W [n, m] with w' (K L K + mu I) w = 1, theta [m]), the largest theta first.
    """
    n = len(kernel)
    e = np.concatenate([np.full(num_source, 1 / num_source), np.full(n - num_source, -1 / (n - num_source))])
    centred = kernel - kernel.mean(axis=0)  # H K
    scatter = kernel @ centred
    ke = kernel @ e
    within = np.outer(ke, ke) + mu * np.eye(n)
    values, vectors = scipy.linalg.eigh((scatter + scatter.T) / 2, within, subset_by_index=[n - count, n - 1])
    return vectors[:, ::-1], values[::-1]


class TCA(ClosedForm):
    """Transfer components of the backbone's features."""

    name, title = "tca", "TCA"
    unit_length = True

    class Options(ClosedForm.Options):
        tca_units: int = setting(30, "components", minimum=1, maximum=4096)
        tca_mu: float = setting(1.0, "mu, of the regularization", minimum=1e-12)

    def units(self) -> int:
        problem = self.problem
        n = problem.num_source + problem.num_target
        if n > _MOST:
            raise UserError(f"--method=tca holds matrices of all pairs of images: {n:,} found, at most {_MOST:,} fit.")
        return min(self.options.tca_units, n, problem.embedding_units)

    def matrix(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        x = np.concatenate([source, target])
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        vectors, _ = transfer_components(x @ x.T, len(source), self.options.tca_mu, self.map.matrix.shape[1])
        return x.T @ vectors
