"""What is of no class of the source: found on features alone, not trained on, answered beside any method's classes."""

import dataclasses
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import gsda_tf
from gsda_tf import recipes
from gsda_tf.choosing import auto
from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.fingerprint import with_unknown
from gsda_tf.datasets import loading
from gsda_tf.errors import UserError
from gsda_tf.methods import unknown
from gsda_tf.models.classifier import build_classifier
from gsda_tf.serving.model import local_model
from gsda_tf.settings import DataSettings, PoolSettings
from gsda_tf.training.callbacks.standard import Label
from tests import rounding
from tests.methods.build import batch, experiment, task

FOUND = np.arange(12) % 4 == 3


def open_task():
    """Classes p, q and r in the source, these and s in the target."""
    data = task()
    return with_unknown(dataclasses.replace(data, source=data.source.chosen(np.flatnonzero(data.source.labels < 3))))


def built(name, monkeypatch, data=None, **changes):
    monkeypatch.setattr(unknown, "find", lambda *features: FOUND.copy())
    return experiment(name, data or open_task(), **changes)


def _slow_unit(x):
    return np.array([row / np.sqrt(sum(v * v for v in row)) for row in x])


def _slow_find(source, labels, target, least):
    """The formula of the file, by loops and dense matrices."""
    domains = []
    for x in (source, target):
        x = _slow_unit(np.sign(x) * np.sqrt(np.abs(x.astype(np.float64))))
        domains.append(_slow_unit(x - x.mean(axis=0)))
    both = np.concatenate(domains)
    components = np.linalg.svd(both - both.mean(axis=0))[2][: min(512, both.shape[1], len(both) - 1)]
    z, t = (_slow_unit(x @ components.T) for x in domains)
    n, graph = len(t), np.zeros([len(t)] * 2)
    for i in range(n):
        cosines = t @ t[i]
        for j in [j for j in np.argsort(-cosines) if j != i][:10]:
            graph[i, j] = max(cosines[j], 0) ** 3
    graph = np.maximum(graph, graph.T)
    degree = np.sqrt(graph.sum(axis=1))
    graph /= np.outer(degree, degree)
    spread = 0.9**30 * np.linalg.matrix_power(graph, 30)
    spread += sum(0.1 * 0.9**k * np.linalg.matrix_power(graph, k) for k in range(30))
    spread /= spread.sum(axis=1, keepdims=True)
    learnt = means = _slow_unit([z[labels == c].mean(axis=0) for c in np.unique(labels)])
    for _ in range(3):
        near = t @ means.T
        s, best = spread @ near.max(axis=1), (spread @ near).argmax(axis=1)
        sums = [t[(s >= least) & (best == c)].sum(axis=0) for c in range(len(learnt))]
        means = _slow_unit([m + (x / np.linalg.norm(x) if x.any() else 0) for m, x in zip(learnt, sums)])
    return s


def _clusters(rng, classes, each, shift=0.5, units=12):
    centres = 4.0 * np.eye(units)[classes]
    return (np.repeat(centres, each, axis=0) + 0.3 * rng.normal(size=(len(classes) * each, units)) + shift).astype(
        np.float32
    )


def test_it_is_found_as_the_formula_says():
    rng = np.random.default_rng(0)
    source, labels, target = (
        _clusters(rng, [0, 1, 2], 8),
        np.repeat([0, 1, 2], 8),
        _clusters(rng, [0, 1, 2, 3, 4], 7, 0.8),
    )
    s = np.sort(_slow_find(source, labels, target, 0.3))
    assert s[0] < 0.1 and s[-1] > 0.5
    for least in (0.3, (s[10] + s[11]) / 2, -1.0):
        expected = _slow_find(source, labels, target, least) < least
        np.testing.assert_array_equal(unknown.find(source, labels, target, 3, least), expected)
    np.testing.assert_array_equal(unknown.find(source, labels, target, 3, 0.3), np.arange(35) >= 21)
    assert unknown.find(source, labels, target[:1], 3, -1.0).tolist() == [False]


def test_large_targets_are_looked_at_in_parts(monkeypatch):
    monkeypatch.setattr(unknown, "_ROWS", 20)
    rng = np.random.default_rng(0)
    found = unknown.find(_clusters(rng, [0, 1], 8), np.repeat([0, 1], 8), _clusters(rng, [0, 1, 2], 16), 2, 0.3)
    np.testing.assert_array_equal(found, np.arange(48) >= 32)


def test_the_odds_of_unknown_against_the_best_class_are_the_logits():
    classifier = build_classifier(5, 3)
    model, (kernel, bias) = unknown.with_logit(classifier, 5)
    rng = np.random.default_rng(0)
    f = rng.normal(size=(6, 5)).astype(np.float32)
    kernel.assign(rng.normal(size=(5, 1))), bias.assign([0.3])
    logits, u = classifier(f).numpy(), f @ kernel.numpy()[:, 0] + 0.3
    p = tf.nn.softmax(model(f)).numpy()
    np.testing.assert_allclose(p[:, 3] / p[:, :3].max(axis=1), np.exp(u), rtol=1e-4)
    np.testing.assert_array_equal(p.argmax(axis=1), np.where(u > 0, 3, logits.argmax(axis=1)))
    assert not set(map(id, (kernel, bias))) & {id(v) for v in model.trainable_variables}


def test_its_logit_tells_what_was_found_from_all_else():
    rng = np.random.default_rng(0)
    rows = _clusters(rng, [0, 1, 2], 10)
    kernel, bias = unknown.fitted(rows[:10], rows[10:], np.arange(20) >= 10)
    np.testing.assert_array_equal((rows @ kernel + bias)[:, 0] > 0, np.arange(30) >= 20)
    kernel, bias = unknown.fitted(rows[:10], rows[10:], np.zeros(20, bool))
    assert not kernel.any() and bias < -1000  # nothing was found: nothing is called so


@pytest.mark.parametrize("name", ["mcc", "gsda", "pada"])
def test_what_is_found_is_not_drawn_but_answered(name, monkeypatch):
    one = built(name, monkeypatch, **({"num_groups": (2,)} if name == "gsda" else {}))
    one.fit_terms()
    assert one.method.problem.class_names == ("p", "q", "r") and one.data.class_names == ("p", "q", "r", "unknown")
    batches = TrainingBatches(one.data, one.settings.data, 0, one.training_step.images)
    assert not FOUND[batches.plan(0, 9, one.pool.numpy(), 0)[1].astype(int)].any()
    step = one.training_step(batch((0, 1, 2, 1, 0), images=one.training_step.images), tf.constant(0, tf.int64))
    assert all(np.isfinite(value) for value in step.values())
    one.correct()
    logits = one.inference(one.data.target).logits
    assert logits.shape == (12, 4) and {"unknown", "corrections"} <= set(one.state())
    assert set(one.deployed_state()) == {"extractor", "classifier", "corrections"}
    training = type("", (), {"experiment": one, "settings": one.settings, "data": one.data})
    training.folder, training.label_period = type("", (), {"write": lambda *row: None}), 1
    Label(training).act(1)  # by labels of the model itself, too
    observes = one.method.observes and not one.method.pseudo_labels
    expected = np.zeros(12) if observes else logits[:, :3].argmax(axis=1)
    np.testing.assert_array_equal(one.pool.numpy(), np.where(FOUND, -1, expected))
    assert one.target_shares(logits).shape == (4,)


@pytest.mark.parametrize("name", ["spl", "tca", "gfk"])
def test_methods_in_closed_form_are_fitted_to_the_rest(name, monkeypatch):
    options = {"tca": {"tca_units": 3}, "gfk": {"gfk_units": 2}}.get(name, {})
    one, seen = built(name, monkeypatch, **options), []
    fit = type(one.method).fit
    monkeypatch.setattr(type(one.method), "fit", lambda self, *rows: seen.append(rows[2]) or fit(self, *rows))
    one.fit(), one.correct()
    known = one.embeddings()[1][~FOUND]
    np.testing.assert_array_equal(seen[0], np.concatenate([known, known[:3]]))
    assert one.inference(one.data.target).logits.shape == (12, 4)


def test_labels_that_were_handed_over_stand(monkeypatch):
    data = open_task()
    taught, none = np.full(12, -1, np.int32), np.full(12, -1, np.int32)
    taught[[0, 3, 1]] = 3, 0, 1  # the first is unknown, the second is not, whatever is found
    data = dataclasses.replace(data, target=dataclasses.replace(data.target, labels=none, taught=taught))
    one = built("source_only", monkeypatch, data)
    one.fit_terms()
    assert one.unknown.numpy()[[0, 3, 1]].tolist() == [True, False, False]
    assert one.method.problem.taught[[0, 3, 1]].tolist() == [-1, 0, 1]
    monkeypatch.setattr(unknown, "find", lambda *features: np.ones(12, bool))
    with pytest.raises(UserError, match=r"No target image is like a class of the source by --unknown_similarity=0\.35"):
        experiment("source_only", open_task()).fit_terms()


@pytest.mark.parametrize(
    "given, told",
    [
        ({"task": "digits/Fo_Ha", "unknown": "reject"}, "--unknown=reject tells by what a network has learnt before"),
        (
            {"task": "office31_open/A_W", "target_prior": "source"},
            "--target_prior=source is for --unknown=none, but --unknown=reject",
        ),
        ({"task": "office31/A_W", "unknown_similarity": 0.2}, "--unknown_similarity=0.2 is for --unknown=reject"),
    ],
)
def test_what_it_cannot_go_with_is_told(given, told):
    with pytest.raises(UserError, match=told):
        recipes.resolve(given)


def test_neither_auto_nor_a_run_without_a_source_takes_it(tmp_path):
    with pytest.raises(UserError, match="--method=auto chooses among known classes"):
        auto.run({"task": "office31_open/A_W", "freeze_backbone": True}, PoolSettings())
    with pytest.raises(UserError, match="--unknown=reject needs a source"):
        loading.load(DataSettings(pipeline="folders", target_dir=str(tmp_path), unknown="reject"))


def test_a_run_its_export_and_its_page(tmp_path, monkeypatch):
    """Two classes are known, two are not; the same answers wherever they are asked for."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    source = gsda_tf.Domain.from_arrays(_clusters(rng, [0, 1], 20), np.repeat(["a", "b"], 20))
    x, y = _clusters(rng, [0, 1, 2, 3], 12, 0.8), np.repeat(["a", "b", "c", "d"], 12)
    options = {"method": "mcc", "steps": 30, "bottleneck_units": 8, "unknown": "reject"}
    run = gsda_tf.adapt(source, gsda_tf.Domain.from_arrays(x, y), workdir="run", **options)
    said = run.predict(x)
    np.testing.assert_array_equal(said["label"], np.where(np.isin(y, ["a", "b"]), y, "unknown"))
    assert run.class_names == ("a", "b", "unknown") and said["probabilities"].shape == (48, 3)
    scores = ("accuracy/target_known", "accuracy/target_unknown", "accuracy/target_hos")
    assert [run.summary[name] for name in scores] == [1.0, 1.0, 1.0] and run.summary["score"] == "hos"
    assert run.evaluate()["accuracy/target_hos"] == 1.0
    page = (tmp_path / "run" / "report.html").read_text().replace("<wbr>", "")
    assert "accuracy/target_hos" in page and "unknown" in page
    exported = tf.saved_model.load(os.path.join(run.summary["export_dir"])).signatures["serving_default"](features=x)
    assert rounding.distance(exported["probabilities"], said["probabilities"]) < rounding.FORWARD
    assert [label.decode() for label in exported["label"].numpy()] == said["label"].tolist()
    kept = keras.models.load_model(run.export("keras"))
    assert rounding.distance(kept(x), said["probabilities"]) < rounding.FORWARD
    known, target = run.predict(x[:24])["probabilities"][:, :2], gsda_tf.Domain.from_arrays(x[:24])
    for name, start in (("next", "run"), ("after", run.summary["export_dir"])):  # C as it was, and nothing is unknown
        still = {"method": "mcc", "steps": 1, "learning_rate": 0.0, "export": False, "report": False}
        other = gsda_tf.adapt(None, target, workdir=name, init_from=start, **still)
        assert other.class_names == ("a", "b")
        expected = known / known.sum(axis=1, keepdims=True)
        assert rounding.distance(other.predict(x[:24])["probabilities"], expected) < rounding.FORWARD
    with pytest.raises(UserError, match="was trained on features of another model"):
        local_model(run.summary["export_dir"])
