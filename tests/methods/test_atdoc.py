"""ATDOC against slow code by its formula; what is remembered, and of whom; gradients against differences."""

import numpy as np
import pytest
import tensorflow as tf

from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")

K, PROGRESS = 2, 0.4


def memory(seed=0, n=peers.N, d=peers.D, r=peers.R):
    """(unit features [n, d], predictions [n, r]) of every target image."""
    rng = np.random.default_rng(seed)
    features, p = rng.normal(size=(n, d)), rng.dirichlet(np.ones(r), n)
    return features / np.linalg.norm(features, axis=1, keepdims=True), p


def made(module, name, remembered=None, **options):
    """A term in float64 whose memory holds this."""
    kind = getattr(double(f"methods.{module}"), name)
    term = kind(kind.Options(**options))
    term.build(peers.method("source_only", "SourceOnly").problem)
    for key, values in zip(("features", "predictions"), remembered or ()):
        term.kept[key].assign(values)
    return term


def batch(indices, progress=PROGRESS, **given):
    b = peers.batch(progress=progress, **given)
    b.target_indices = tf.constant(indices, tf.int64)
    return b


def nearest(features, kept, indices, count):
    """By sorting."""
    near = []
    for f, own in zip(np.asarray(features), indices):
        alike = {j: f @ row / np.linalg.norm(f) for j, row in enumerate(kept) if j != own}
        near.append(sorted(alike, key=lambda j: -alike[j])[:count])
    return np.asarray(near)


def slow(f_t, z_t, kept, indices, count=K):
    near = nearest(f_t, kept[0], indices, count)
    top = bottom = 0.0
    for z, places in zip(np.asarray(z_t), near):
        q = kept[1][places].mean(axis=0)
        label = q.argmax()
        top += q[label] * -np.log(peers.softmax(z)[label])
        bottom += q[label]
    return top / bottom


@pytest.mark.parametrize("indices", [np.arange(peers.N), np.array([3, 1, 1, 0, 7, 6, 2, 5])])
def test_the_loss_by_its_formula(indices):
    kept, (f_t, z_t) = memory(), peers.given("f_t", "z_t")
    term = made("atdoc", "ATDOCTerm", kept, atdoc_neighbours=K, atdoc_weight=0.7)
    value = term.loss(batch(indices))
    np.testing.assert_allclose(value, 0.7 * PROGRESS * slow(f_t, z_t, kept, indices), rtol=1e-9)
    peers.differentiate(lambda z: term.loss(batch(indices, z_t=z)), z_t.numpy())
    value, (of_features,) = peers.gradients(lambda f: term.loss(batch(indices, f_t=f)), f_t)
    assert not of_features.any()  # who is near does not move them; the classifier's gradient does


def test_what_is_remembered_by_its_formula():
    term, (z_t,) = made("atdoc", "ATDOCTerm"), peers.given("z_t")
    p = peers.softmax(z_t) ** 2
    p /= p.sum(axis=0)
    np.testing.assert_allclose(term.remembered(batch(np.arange(8))), p / p.sum(axis=1, keepdims=True), rtol=1e-9)


def test_a_memory_of_nothing_says_nothing_and_an_only_image_has_no_neighbour():
    term = made("atdoc", "ATDOCTerm")
    value, (gradient,) = peers.gradients(lambda z: term.loss(batch(np.arange(8), z_t=z)), *peers.given("z_t"))
    assert value == 0 and not gradient.any()
    near = double("methods.memory").nearest(tf.ones([1, 3], tf.float64), tf.ones([1, 3], tf.float64), [0], 5)
    assert near.shape == (1, 1)


def test_the_order_of_images_and_classes_does_not_matter():
    kept, (f_t, z_t), rng = memory(), peers.given("f_t", "z_t"), np.random.default_rng(3)
    term = made("atdoc", "ATDOCTerm", kept, atdoc_neighbours=K)
    order, classes = rng.permutation(8), rng.permutation(peers.R)
    value = term.loss(batch(np.arange(8)))
    moved = term.loss(batch(order, f_t=tf.gather(f_t, order), z_t=tf.gather(z_t, order)))
    np.testing.assert_allclose(moved, value, rtol=1e-12)
    other = made("atdoc", "ATDOCTerm", (kept[0], kept[1][:, classes]), atdoc_neighbours=K)
    np.testing.assert_allclose(other.loss(batch(np.arange(8), z_t=tf.gather(z_t, classes, axis=1))), value, rtol=1e-12)


def test_after_a_step_the_memory_holds_the_batch_and_nothing_else():
    built = peers.method("atdoc", "ATDOC")
    s = type("S", (), {})()
    s.adapted = batch(np.array([2, 0, 2, 1, 3, 4, 5, 6]))
    written = {}
    s.remember = lambda variable, rows, indices: written.update({variable.name: (rows.numpy(), indices.numpy())})
    built._term.after(s)
    rows = {name.split(":")[0]: rows for name, (rows, _) in written.items()}
    f_t = peers.given("f_t")[0].numpy()
    np.testing.assert_allclose(rows["memory_features"], f_t / np.linalg.norm(f_t, axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(rows["memory_predictions"].sum(axis=1), 1.0, rtol=1e-12)
    assert set(built.kept) == {"features", "predictions"}
