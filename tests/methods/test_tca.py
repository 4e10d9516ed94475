"""TCA against its peers' numbers, an unsymmetric eigen-solver, and in its limits."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg

from gsda_tf.methods.closed_form import logistic_regression
from gsda_tf.methods.tca import TCA, transfer_components
from tests.methods import peers
from tests.methods.peers import NUMBERS, agree

X = np.concatenate([NUMBERS["inputs/X_s"], NUMBERS["inputs/X_t"]])
NS, NT = 12, 10
COUNT = 3


def linear(x):
    return x @ x.T


def gaussian(x, gamma):
    return np.exp(-gamma * ((x[:, None] - x) ** 2).sum(-1))


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def gram(z):
    """Free of the signs of eigenvectors; its upper half."""
    return np.triu(z @ z.T)


def pieces(kernel, ns):
    """(K L K, K H K)."""
    n = len(kernel)
    e = np.concatenate([np.full(ns, 1 / ns), np.full(n - ns, -1 / (n - ns))])
    return kernel @ np.outer(e, e) @ kernel, kernel @ (np.eye(n) - 1 / n) @ kernel


@pytest.mark.parametrize("name, kernel", [("linear", linear(X)), ("rbf", gaussian(X, 0.05))])
def test_against_the_definition(name, kernel):
    w, theta = transfer_components(kernel, NS, 1.0, COUNT)
    agree(theta, NUMBERS[f"tca/definition_{name}_theta"])
    z = kernel @ w
    agree(gram(z), NUMBERS[f"tca/definition_{name}_gram"])
    mmd = np.sum((z[:NS].mean(0) - z[NS:].mean(0)) ** 2)
    agree(mmd, NUMBERS[f"tca/definition_{name}_mmd"][0], 1e-6)  # what is left of much larger numbers


def test_against_a_peer():
    """jindongwang's code divides L by its norm, which is 1/ns + 1/nt, solves for eigenvectors of length 1, and scales
    each embedded sample to length 1."""
    kernel = linear(unit(X))
    w, _ = transfer_components(kernel, NS, 1 / NS + 1 / NT, COUNT)
    z = unit(kernel @ (w / np.linalg.norm(w, axis=0)))
    agree(gram(z), NUMBERS["tca/jindong_linear_gram"], 1e-8)


def test_the_fault_of_a_symmetric_solver_on_an_unsymmetric_matrix():
    """skada and adapt give (I + mu K L K)^-1 K H K to eigh, which reads one triangle. Their mu is 1 over ours."""
    kernel = gaussian(X, 1 / X.shape[1])
    w, _ = transfer_components(kernel, NS, 1 / 100, COUNT)
    ours = gram(kernel @ (w / np.linalg.norm(w, axis=0)))
    agree(ours, NUMBERS["tca/skada_rbf_mu100_gram_correct_eigenvectors"], 1e-8)
    wrong = NUMBERS["tca/skada_rbf_mu100_gram_AS_RUN_unsymmetric_eigh"]
    assert np.abs(ours - wrong).max() > 0.01 * np.abs(wrong).max()


@pytest.mark.parametrize("mu", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("kernel", [linear(X), gaussian(X, 0.05)], ids=["linear", "rbf"])
def test_it_is_the_generalized_eigenproblem(kernel, mu):
    """Against a solver that does not ask for symmetry."""
    w, theta = transfer_components(kernel, NS, mu, COUNT)
    klk, khk = pieces(kernel, NS)
    values = scipy.linalg.eigvals(np.linalg.solve(klk + mu * np.eye(22), khk))
    np.testing.assert_allclose(theta, np.sort(values.real)[::-1][:COUNT], rtol=1e-6)
    residual = khk @ w - theta * ((klk + mu * np.eye(22)) @ w)
    assert np.abs(residual).max() < 1e-8 * np.abs(khk @ w).max()
    np.testing.assert_allclose(w.T @ (klk + mu * np.eye(22)) @ w, np.eye(COUNT), atol=1e-6)
    assert theta[0] >= theta[1] >= theta[2] > 0


def test_domains_that_are_the_same():
    """K e = 0: the discrepancy is 0 and the eigenvalues are those of K H K / mu."""
    kernel = gaussian(np.concatenate([X[:NS], X[:NS]]), 0.05)
    w, theta = transfer_components(kernel, NS, 0.3, COUNT)
    z = kernel @ w
    assert np.abs(z[:NS].mean(0) - z[NS:].mean(0)).max() < 1e-12 * np.abs(z).max()
    expected = np.sort(np.linalg.eigvalsh(pieces(kernel, NS)[1] / 0.3))[::-1][:COUNT]
    np.testing.assert_allclose(theta, expected, rtol=1e-9)


def test_order_rotation_and_place_do_not_matter():
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.permutation(NS), NS + rng.permutation(NT)])
    _, theta = transfer_components(gaussian(X, 0.05), NS, 1.0, COUNT)
    for same in (X[order], X @ peers.rotation(8), X + 3.0):
        np.testing.assert_allclose(transfer_components(gaussian(same, 0.05), NS, 1.0, COUNT)[1], theta, rtol=1e-9)
    np.testing.assert_allclose(transfer_components(linear(X @ peers.rotation(8)), NS, 1.0, COUNT)[1],
                               NUMBERS["tca/definition_linear_theta"], rtol=1e-9)  # fmt: skip


def test_the_regularization_trades_discrepancy_for_spread():
    kernel = gaussian(X, 0.05)
    apart = []
    for mu in (1e-4, 1.0, 1e4):
        z = kernel @ transfer_components(kernel, NS, mu, COUNT)[0]
        z = z / z.std()
        apart.append(np.linalg.norm(z[:NS].mean(0) - z[NS:].mean(0)))
    assert apart[0] < apart[1] < apart[2]


def test_the_map_is_the_embedding():
    """Of features scaled to length 1, K W = X (X' W)."""
    fake = SimpleNamespace(options=TCA.Options(tca_mu=0.5), map=SimpleNamespace(matrix=np.zeros([8, COUNT])))
    matrix = TCA.matrix(fake, X[:NS], X[NS:])
    kernel = linear(unit(X))
    w, _ = transfer_components(kernel, NS, 0.5, COUNT)
    agree(gram(unit(X) @ matrix), gram(kernel @ w))


def test_a_sample_of_zeros_is_no_nan():
    x = X.copy()
    x[3] = 0
    fake = SimpleNamespace(options=TCA.Options(), map=SimpleNamespace(matrix=np.zeros([8, COUNT])))
    assert np.isfinite(TCA.matrix(fake, x[:NS], x[NS:])).all()


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_the_linear_classifier_by_its_gradient(classes):
    """At the fit the penalized loss is flat. A class without sample is never the answer."""
    labels = np.arange(len(X)) % classes
    kernel, bias = logistic_regression(X, labels, 5)
    logits = X @ kernel + bias
    assert (logits.argmax(1) < classes).all() and np.isfinite(logits).all()
    if classes < 3:
        return
    scale = np.sqrt(np.mean(X**2))
    rest = peers.softmax(logits)[:, :3] - np.eye(3)[labels]
    of_kernel = (X / scale).T @ rest + kernel[:, :3] * scale * len(X) / 3000  # beside the mean loss, 1 / 3000
    assert np.abs(of_kernel).max() < 1e-2 * len(X) and np.abs(rest.sum(0)).max() < 1e-2 * len(X)
