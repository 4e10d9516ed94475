"""SPL: each piece against slow code by its formula, what does not change its answer, and what it decides by itself."""

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

from gsda_tf.methods import spl
from tests.methods.build import experiment, task

R, M = 3, 4


def domains(seed=0, counts=(8, 9, 10), target=(7, 8, 9), apart=20.0, shift=0.5):
    """(source [ns, e], labels, target, labels): four features of each class are large, and the target is moved."""
    rng, dims = np.random.default_rng(seed), 4 * len(counts)
    centres = apart * np.repeat(np.eye(len(counts)), 4, axis=1)
    moved = shift * np.abs(rng.normal(size=dims))
    ys, yt = (np.repeat(np.arange(len(n)), n) for n in (counts, target))
    xs, xt = (np.abs(centres[y] + rng.normal(size=(len(y), dims))) for y in (ys, yt))
    return xs.astype(np.float32), ys, (xt + moved).astype(np.float32), yt


def solved(xs, ys, xt, structure="clusters", classes=R, name="plain"):
    made = spl.Preparation.fit(name, xs, xt)
    return spl.solve(made, made(xs, 0), ys, made(xt, 1), classes, M, 5, structure, np.full(len(xt), -1))


def test_the_projection_is_that_of_the_pairs_of_a_class():
    """A = X D X' and B = X (D - W) X' + I, where W joins the samples of a class: sums over pairs, written out."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 6)), rng.integers(0, R, 20)
    joined = (y[:, None] == y).astype(float)
    a = x.T @ np.diag(joined.sum(1)) @ x
    b = x.T @ (np.diag(joined.sum(1)) - joined) @ x + np.eye(6)
    w = spl.preserving(x, y, R, 2)
    values = np.sort(scipy.linalg.eigvals(np.linalg.solve(b, a)).real)[-2:]
    np.testing.assert_allclose(np.diag(w.T @ a @ w), values, rtol=1e-9)
    np.testing.assert_allclose(w.T @ b @ w, np.eye(2), atol=1e-9)


def test_preparation_by_its_formula():
    xs, _, xt, _ = domains()
    made = spl.Preparation.fit("root_centred", xs, xt)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    both = [unit(np.sqrt(x.astype(np.float64))) for x in (xs, xt)]
    both = [unit(x - x.mean(0)) for x in both]
    _, _, directions = np.linalg.svd(np.concatenate(both) - np.concatenate(both).mean(0), full_matrices=False)
    for i, x in enumerate((xs, xt)):
        expected = unit(both[i] @ directions.T)
        np.testing.assert_allclose(made(x, i) @ made(x, i).T, expected @ expected.T, atol=1e-5)


def test_blocks_are_of_no_consequence(monkeypatch):
    data = domains()
    whole = solved(*data[:3])
    monkeypatch.setattr(spl, "_BLOCK", 5)
    parts = solved(*data[:3])
    np.testing.assert_array_equal(whole.labels, parts.labels)
    np.testing.assert_allclose(np.abs(whole.prototypes @ whole.prototypes.T),
                               np.abs(parts.prototypes @ parts.prototypes.T), atol=1e-5)  # fmt: skip


def test_kmeans_against_slow_code():
    rng = np.random.default_rng(1)
    z, start = spl.unit(rng.normal(size=(30, 4))), spl.unit(rng.normal(size=(3, 4)))
    centres = start.copy()
    for _ in range(100):
        nearest = np.array([np.argmin([np.linalg.norm(row - c) for c in centres]) for row in z])
        centres = np.stack([z[nearest == k].mean(0) if (nearest == k).any() else centres[k] for k in range(3)])
    np.testing.assert_allclose(spl.cluster_centres(z, start), spl.unit(centres), atol=1e-12)


def test_of_each_class_the_surest_are_selected():
    labels, sureness = np.array([0, 0, 0, 0, 2, 2]), np.array([0.1, 0.9, 0.5, 0.5, 0.2, 0.3])
    assert spl.select(labels, sureness, R, 0.5).tolist() == [False, True, True, False, False, True]
    assert spl.select(labels, sureness, R, 0.1).tolist() == [False, True, False, False, False, True]
    assert spl.select(labels, sureness, R, 1.0).all()


@pytest.mark.parametrize("structure", spl.STRUCTURES)
@pytest.mark.parametrize("name", list(spl.PREPARATIONS))
def test_classes_that_are_apart_are_found_whatever_the_order(name, structure):
    xs, ys, xt, yt = domains()
    np.testing.assert_array_equal(solved(xs, ys, xt, structure, name=name).labels, yt)
    order, names = np.random.default_rng(2).permutation(len(xt)), np.array([2, 0, 1])
    other = solved(xs[::-1], names[ys[::-1]], xt[order], structure, name=name)
    np.testing.assert_array_equal(other.labels, names[yt[order]])


def test_domains_that_are_the_same_and_one_image_a_class():
    xs, ys, _, _ = domains()
    np.testing.assert_array_equal(solved(xs, ys, xs).labels, ys)
    one = np.unique(ys, return_index=True)[1]
    found = spl.solve(None, xs[one] * 1.0, ys[one], xs[one] * 1.0, R, 2, 3, "clusters", np.full(R, -1))
    np.testing.assert_array_equal(found.labels, ys[one])


def test_an_answer_that_changes_the_places_of_classes_is_not_taken():
    """It is as sure and clusters as well as the others: only they can tell."""
    yt = np.arange(60) % R
    wrong, noise = (yt + 1) % R, np.where(np.arange(60) < 6, (yt + 1) % R, yt)
    answers = {"a": wrong, "b": noise, "c": yt, "d": yt}
    assert spl.decide(spl.agreements(answers, noise)) in ("b", "c", "d")
    assert spl.decide({"a": 0.82, "b": 0.86, "c": 0.855}) == "b" and spl.decide({"a": 0.86, "b": 0.88}) == "a"
    assert spl.decide(spl.agreements({**answers, "a": noise}, yt)) == "a"  # it stays where it is not much worse


def test_the_witness_is_ridge_regression():
    xs, ys, xt, _ = domains(apart=1.0)
    mean = xs.mean(0, dtype=np.float64)
    shown = np.eye(R)[ys] - np.bincount(ys) / len(ys)
    weights = np.linalg.solve((xs - mean).T @ (xs - mean) + np.eye(12), (xs - mean).T @ shown)
    np.testing.assert_array_equal(
        spl.witness(xs, ys, xt, R), ((xt - mean) @ weights + np.bincount(ys) / len(ys)).argmax(1)
    )


def test_scores_are_as_sure_as_asked():
    logits = np.random.default_rng(0).normal(size=(50, 4))
    for share in (0.7, 0.8, 0.95):
        s = spl.sharpness(logits, share)
        p = tf.nn.softmax(s * logits).numpy()
        assert abs(p.max(1).mean() - share) < 1e-6


def fitted(xs, ys, xt, **options):
    built = experiment("spl", task(R, len(xs), len(xt)), **options)
    method = built.method
    # Of the width that the method was built for.
    rng = np.random.default_rng(3)
    wide = rng.normal(size=(xs.shape[1], built.extractor.embedding_units))
    basis = np.linalg.qr(wide.T)[0].T if wide.shape[1] >= wide.shape[0] else wide
    xs, xt = (x @ np.abs(basis) for x in (xs, xt))
    method.fit(xs.astype(np.float32), ys, xt.astype(np.float32))
    logits = method.classifier(method.map(tf.constant(xt, tf.float32))).numpy()
    return method, logits


def test_what_is_exported_gives_the_labels_that_were_found_and_never_an_absent_class():
    xs, ys, xt, yt = domains()
    names = np.array([0, 2, 1])  # class 3 of the task below has no source image
    _, logits = fitted(xs, names[ys], xt)
    np.testing.assert_array_equal(logits.argmax(1), names[yt])
    built = experiment("spl", task(4, len(xs), len(xt)))
    e = built.extractor.embedding_units
    rng = np.random.default_rng(0)
    built.method.fit(np.abs(rng.normal(size=(len(xs), e))).astype(np.float32), ys,
                     np.abs(rng.normal(size=(len(xt), e))).astype(np.float32))  # fmt: skip
    z = built.method.classifier(built.method.map(tf.constant(np.abs(rng.normal(size=(99, e))), tf.float32))).numpy()
    assert np.isfinite(z).all() and (z.argmax(1) < 3).all()


def test_neighbours_take_the_place_of_clusters_where_classes_are_missing():
    data = domains(counts=(6,) * 8, target=(20, 20, 20) + (0,) * 5)
    found = spl.adapt(*data[:3])
    assert spl.rare_classes(data[3], data[1], 8) == 5 / 8 and found.answer.structure == "neighbours"
    assert "--spl_structure=neighbours, as a classifier of the source gives 62 % of the classes" in found.remark
    np.testing.assert_array_equal(found.answer.labels, data[3])
    assert np.isinf(found.answer.prototypes[3:]).all()  # they are missing
    assert spl.adapt(data[0], data[1], data[0]).answer.structure == "clusters"


def test_the_graph_by_its_definition_and_drawn_rows(monkeypatch):
    z = spl.unit(np.random.default_rng(4).normal(size=(9, 3)))
    cosines = z @ z.T - 3 * np.eye(9)
    near = np.zeros([9, 9])
    for i in range(9):
        for j in np.argsort(-cosines[i])[:2]:
            near[i, j] = max(cosines[i, j], 0) ** 3
    near = np.maximum(near, near.T)
    scale = np.diag(1 / np.sqrt(near.sum(1)))
    np.testing.assert_allclose(spl.neighbour_graph(z, 2).toarray(), scale @ near @ scale, atol=1e-9)
    data = domains()
    monkeypatch.setattr(spl, "_GRAPH_ROWS", 12)
    np.testing.assert_array_equal(solved(*data[:3], structure="neighbours").labels, data[3])
