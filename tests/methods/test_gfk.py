"""GFK against its peers' numbers, a quadrature of its definition, and where subspaces touch."""

import numpy as np
import pytest

from gsda_tf.methods.gfk import geodesic_factor, principal_components
from tests.methods import peers
from tests.methods.peers import NUMBERS, agree

SOURCE, TARGET = (principal_components(NUMBERS[f"inputs/X_{domain}"], 3) for domain in "st")


def flow(source, target):
    factor = geodesic_factor(source, target)
    return factor @ factor.T


def bases(e, m, seed=0):
    return peers.rotation(e, seed)[:, :m], peers.rotation(e, seed + 1)[:, :m]


def quadrature(source, target, nodes=24):
    """The integral of Phi(t) Phi(t)' over 0..1, Phi built at each t."""
    e, m = source.shape
    complement = np.linalg.svd(source)[0][:, m:]
    left, cosines, right = np.linalg.svd(source.T @ target)
    theta = np.arccos(np.clip(cosines, -1, 1))
    sines = np.sin(theta)
    directions = complement @ (complement.T @ target @ right.T) / np.where(sines > 1e-9, sines, 1)
    total = np.zeros([e, e])
    for t, weight in zip(*np.polynomial.legendre.leggauss(nodes)):
        t = (t + 1) / 2
        phi = source @ left * np.cos(t * theta) + directions * np.sin(t * theta)
        total += weight / 2 * phi @ phi.T
    return total


def test_principal_components_against_peers():
    agree(SOURCE @ SOURCE.T, NUMBERS["gfk/Ps_projector"])
    agree(TARGET @ TARGET.T, NUMBERS["gfk/Pt_projector"])
    cosines = np.linalg.svd(SOURCE.T @ TARGET, compute_uv=False)
    agree(np.arccos(cosines), NUMBERS["gfk/theta"])


def test_against_peers():
    agree(np.triu(flow(SOURCE, TARGET)), np.triu(NUMBERS["gfk/quadrature_G_dim3"]))


@pytest.mark.parametrize("e, m", [(6, 1), (6, 3), (20, 7), (5, 4)])
def test_against_a_quadrature(e, m):
    """Also where 2m > e, so that the subspaces must touch."""
    source, target = bases(e, m)
    np.testing.assert_allclose(flow(source, target), quadrature(source, target), atol=1e-7)


def test_one_subspace():
    np.testing.assert_allclose(flow(SOURCE, SOURCE), SOURCE @ SOURCE.T, atol=1e-7)
    turned = SOURCE @ peers.rotation(3)
    np.testing.assert_allclose(flow(SOURCE, turned), SOURCE @ SOURCE.T, atol=1e-7)


def test_what_it_is():
    for e, m in ((8, 3), (20, 6)):
        g = flow(*bases(e, m))
        np.testing.assert_array_equal(g, g.T)
        values = np.linalg.eigvalsh(g)
        assert values.min() > -1e-12 and (values > 1e-9).sum() <= 2 * m
        np.testing.assert_allclose(np.trace(g), m, rtol=1e-12)


def test_bases_of_the_same_subspaces_and_swapped_domains_are_the_same():
    g = flow(SOURCE, TARGET)
    np.testing.assert_allclose(flow(SOURCE @ peers.rotation(3, 1), TARGET @ peers.rotation(3, 2)), g, atol=1e-12)
    np.testing.assert_allclose(flow(-SOURCE, TARGET), g, atol=1e-12)
    np.testing.assert_allclose(flow(TARGET, SOURCE), g, atol=1e-12)


def test_a_rotation_of_the_space_rotates_it():
    turn = peers.rotation(8)
    np.testing.assert_allclose(flow(turn @ SOURCE, turn @ TARGET), turn @ flow(SOURCE, TARGET) @ turn.T, atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-7, 1e-4, np.pi / 2])
def test_angles_at_the_ends(angle):
    """One direction shared, one at this angle: neither 0/0 nor the arc cosine of more than 1."""
    axes = np.eye(5)
    source = axes[:, :2]
    target = np.stack([axes[0], np.cos(angle) * axes[1] + np.sin(angle) * axes[2]], 1)
    factor = geodesic_factor(source, target)
    assert np.isfinite(factor).all()
    steps = (np.arange(2000) + 0.5) / 2000 * angle
    expected = np.diag([1.0, np.mean(np.cos(steps) ** 2), np.mean(np.sin(steps) ** 2), 0, 0])
    expected[1, 2] = expected[2, 1] = np.mean(np.sin(steps) * np.cos(steps))
    np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-7)


def test_the_place_of_a_domain_does_not_matter_for_its_components():
    x = NUMBERS["inputs/X_s"]
    np.testing.assert_allclose(
        np.abs(principal_components(x + 7.0, 3).T @ principal_components(x, 3)), np.eye(3), atol=1e-9
    )
