"""The pool: what is trained, what is left out, gone on with and kept; and that no label of the target reaches it."""

import json
import os
import types

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.choosing import auto
from gsda_tf.choosing.committee import committee, finished
from gsda_tf.choosing.criteria import Candidate
from gsda_tf.choosing.decision import decide
from gsda_tf.errors import UserError
from gsda_tf.files import write_atomically
from gsda_tf.runs.contents import CHOICE, read_choice, read_snapshot
from gsda_tf.settings import PoolSettings
from tests import rounding

from .test_clustering import blobs

POOL = PoolSettings(("source_only", "mcc"), candidate_seeds=2)


@pytest.fixture
def given(tmp_path):
    """Settings of two domains of features, and a way to write the target's labels."""

    def write(labels=None):
        for name, seed in (("source", 0), ("target", 1)):
            features, classes = blobs(noise=0.3, seed=seed)
            shown = classes if labels is None or name == "source" else labels(classes)
            np.savez(tmp_path / f"{name}.npz", features=features.astype(np.float32), labels=shown)
        return {"source": str(tmp_path / "source.npz"), "target": str(tmp_path / "target.npz"), "steps": 4}

    return write


@pytest.fixture
def trained(monkeypatch):
    """Stands in place of training: writes what a run leaves; the list of the runs' folders."""
    made = []

    def train(settings, keep, report=None, data=None, beside=None):
        made.append(settings.run.workdir)
        folder, truth = settings.run.workdir, blobs(seed=1)[1]
        os.makedirs(folder, exist_ok=True)
        if isinstance(keep, auto._Keep):
            wrong = 10 if settings.method.method == "source_only" else 3
            labels = np.where(np.arange(len(truth)) < wrong + settings.run.seed, (truth + 1) % 5, truth)
            arrays = {"probabilities": np.eye(5)[labels] * 0.9 + 0.02}
            if keep.features:
                features, classes = blobs(seed=0)
                arrays.update(source_features=features, source_labels=classes, target_features=blobs(seed=1)[0])
            np.savez(os.path.join(folder, auto.OUTPUTS), **arrays)
            write_atomically(os.path.join(folder, "settings.json"), json.dumps({"of": folder}))
            write_atomically(os.path.join(folder, "summary.json"), "{}")
        return {"method": settings.method.method, "seed": settings.run.seed}

    monkeypatch.setattr(auto, "train", train)
    return made


def run(given, workdir, pool=POOL):
    return auto.run({**given, "workdir": str(workdir)}, pool, export=None, report=None)


def test_the_page_is_made_once_the_choice_is_written(given, trained, tmp_path):
    told = []

    def report(workdir):
        with open(os.path.join(workdir, "summary.json")) as file:
            told.append(json.load(file)["choice"])

    summary = auto.run({**given(), "workdir": str(tmp_path / "run")}, POOL, report=report)
    assert told == [summary["choice"]]


def test_every_candidate_has_a_seed_before_any_has_a_second_and_the_chosen_run_is_left(given, trained, tmp_path):
    summary = run({**given(), "seed": 5}, tmp_path / "run")
    places = [os.path.relpath(path, tmp_path / "run") for path in trained]
    assert places == [
        "candidates/source_only/seed5", "candidates/mcc/seed5", "candidates/source_only/seed6", "candidates/mcc/seed6",
        ".",
    ]  # fmt: skip
    assert summary["choice"].startswith("mcc: its labels agree best") and summary["runner_up"] == "source_only"
    assert summary["estimate/low"] <= summary["estimate/value"] <= summary["estimate/high"]
    with open(tmp_path / "run" / "settings.json") as file:
        assert json.load(file)["of"].endswith("mcc/seed5")
    with open(tmp_path / "run" / CHOICE) as file:
        content = json.load(file)
    assert content["chosen"] == "mcc" and set(content["scores"]) == {"source_only", "mcc"}


def test_what_is_fitted_has_one_seed_and_only_frozen_features_have_it_by_themselves(given, trained, tmp_path):
    run(given(), tmp_path / "run", PoolSettings(("source_only", "spl"), candidate_seeds=2))
    places = [os.path.relpath(path, tmp_path / "run" / "candidates") for path in trained[:-1]]
    assert places == ["source_only/seed0", "spl/seed0", "source_only/seed1"]
    run(given(), tmp_path / "all", PoolSettings(candidate_seeds=1))
    assert [os.path.basename(os.path.dirname(path)) for path in trained[-7:-1]] == list(auto.POOL)
    for name in ("source", "target"):
        np.savez(tmp_path / f"{name}.npz", images=np.zeros([100, 4, 4, 3], np.uint8), labels=np.arange(100) % 5)
    given = {"source": str(tmp_path / "source.npz"), "target": str(tmp_path / "target.npz"), "extractor": "small_cnn",
             "weights": "none", "image_size": 4, "resize_size": 4, "augmentation": "none"}  # fmt: skip
    run(given, tmp_path / "images", PoolSettings(candidate_seeds=1))
    assert [os.path.basename(os.path.dirname(path)) for path in trained[-6:-1]] == list(auto.POOL[:-1])


def test_predictions_begin_with_the_images_to_look_at(given, trained, tmp_path):
    run(given(), tmp_path / "run")
    lines = (tmp_path / "run" / auto.PREDICTIONS).read_text().splitlines()
    assert lines[0] == "image,label,agreement,neighbours,unanimous" and len(lines) == 101
    trust = [float(line.split(",")[2]) + float(line.split(",")[3]) for line in lines[1:]]
    assert all(b > a - 2e-4 for a, b in zip(trust, trust[1:])) and lines[1].endswith(",0") and lines[-1].endswith(",1")
    found = read_choice(str(tmp_path / "run"))
    assert [f"{each['agreement']:.4f}" for each in found["disagreements"]] == [
        line.split(",")[2] for line in lines[1:13]
    ]
    assert all(set(each["answers"]) == set(POOL.candidates) for each in found["disagreements"])
    assert found["advice"].startswith("Use it, and look at the first images")


def test_names_that_are_no_unicode_or_begin_a_formula(trained, tmp_path):
    class Records:
        def name(self, index):
            return ("=cmd()", "caf\udce9.jpg")[index]

    data = types.SimpleNamespace(target=types.SimpleNamespace(records=Records()), class_names=("a", "b"))
    labels = np.array([0, 1])
    found = decide([Candidate("mcc", np.eye(2)[None])], np.eye(2), labels, np.eye(2), data.class_names)
    auto._write(str(tmp_path), found, data)
    rows = (tmp_path / auto.PREDICTIONS).read_bytes().splitlines()
    assert {row.split(b",")[0] for row in rows[1:]} == {b"'=cmd()", b"caf\xe9.jpg"}


def test_what_the_budget_leaves_out_is_said_and_the_first_run_is_always_trained(given, trained, tmp_path, capsys):
    summary = run(given(), tmp_path / "run", PoolSettings(POOL.candidates, 2, budget_minutes=1e-9))
    assert [os.path.basename(os.path.dirname(path)) for path in trained[:-1]] == ["source_only"]
    assert "left out: mcc, seed 0; source_only, seed 1; mcc, seed 1" in capsys.readouterr().out
    assert summary["choice"].startswith("source_only: there is no other candidate")


def test_the_pool_is_taken_from_what_was_given():
    pool, rest = auto.split({"method": "auto", "steps": 3, "candidates": "source_only,mcc", "candidate_seeds": None})
    assert list(pool.candidates) == ["source_only", "mcc"] and pool.candidate_seeds == 2
    assert rest == {"steps": 3}
    assert auto.split({"candidate_seeds": "3", "candidates": ["mcc"]})[0] == PoolSettings(("mcc",), 3)
    for wrong, said in ((-1, "expected at least 1"), ("x", "expected a whole number")):
        with pytest.raises(UserError, match=f"--candidate_seeds={wrong}.*{said}"):
            auto.split({"candidate_seeds": wrong})


def test_refuses_what_cannot_be_meant(given, trained, tmp_path):
    with pytest.raises(UserError, match="name candidates as"):
        run({**given(), "add": ("mcc",)}, tmp_path / "run")
    with pytest.raises(UserError, match="one device"):
        run({**given(), "strategy": "mirrored"}, tmp_path / "run")
    with pytest.raises(UserError, match="mccc"):
        run(given(), tmp_path / "run", PoolSettings(("source_only", "mccc")))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "settings.json").write_text("{}")
    with pytest.raises(UserError, match="a run of one method"):
        run(given(), tmp_path / "other")
    assert not trained


def test_an_option_of_one_candidate_is_not_the_others(given, trained, tmp_path):
    run({**given(), "mcc_temperature": 3.0}, tmp_path / "run")
    assert len(trained) == 5


def test_scrambled_target_labels_change_no_bit_of_the_choice(given, tmp_path):
    """In earnest: candidates are trained, and what is left of them is compared."""
    found = []
    for name, labels in (("true", None), ("scrambled", np.random.default_rng(3).permutation)):
        run({**given(labels), "evaluate_steps": 4}, tmp_path / name, PoolSettings(POOL.candidates, candidate_seeds=1))
        found.append([(tmp_path / name / file).read_bytes() for file in (CHOICE, auto.PREDICTIONS)])
    assert found[0] == found[1]


def test_the_export_says_of_each_image_the_agreement_that_the_choice_was_told(given, tmp_path, capsys):
    """In earnest: the committee is restored from what the candidates left."""
    said = []

    def export(experiment, root, summary, committee):
        embedded = tf.constant(experiment.embeddings()[1])
        answers = experiment.inference(experiment.inputs.target).predictions
        said.append((experiment, committee(embedded, tf.constant(answers)).numpy()))
        return root

    values = {**given(), "evaluate_steps": 4, "workdir": str(tmp_path / "run"), "export": True}
    pool = PoolSettings(("source_only", "mcc", "spl"), candidate_seeds=2)
    summary = auto.run(values, pool, export=export)
    rows = (tmp_path / "run" / auto.PREDICTIONS).read_text().splitlines()[1:]
    due = {row.split(",")[0]: float(row.split(",")[2]) for row in rows}
    ((experiment, agreement),) = said
    names = [experiment.data.target.records.name(i) for i in range(len(agreement))]
    np.testing.assert_allclose(agreement, [due[name] for name in names], atol=1e-4)
    assert list(finished(str(tmp_path / "run"))) == ["mcc", "source_only", "spl"]
    shown = read_snapshot(str(tmp_path / "run"))["target_agreement"]
    assert rounding.distance(shown, agreement) < rounding.FORWARD
    # Finished, it is told again, and the page is made that is not there.
    paged = []
    again = auto.run(values, pool, export=export, report=paged.append)
    assert "Finished before, nothing was trained" in capsys.readouterr().out
    assert again["choice"] == summary["choice"] and len(said) == 1 and paged == [values["workdir"]]
    with pytest.raises(UserError, match="learning_rate"):
        auto.run({**values, "learning_rate": 0.5}, pool)
    # A folder that names a program is not run: the export goes without.
    settings = tmp_path / "run" / "candidates" / "mcc" / "seed1" / "settings.json"
    settings.write_text(settings.read_text().replace('"method": "mcc"', '"method": "/tmp/x.py:X"'))
    assert committee(str(tmp_path / "run"), experiment) is None
    assert "says nothing of agreement" in capsys.readouterr().out
