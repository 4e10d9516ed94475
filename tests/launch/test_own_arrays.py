"""Training on arrays, as a user does it: features of any model, and images."""

import os
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import job
from gsda_tf.reporting.results import write_results
from gsda_tf.sweeps import trials
from tests import rounding
from tests.faults import inprocess
from tests.launch import commands

_TINY_FEATURES = (
    "--steps=4", "--evaluate_steps=4", "--num_groups=2", "--source_batch=6", "--target_batch=6",
    "--evaluation_batch=12", "--discriminator_units=8", "--bottleneck_units=8", "--pseudo_label_period=2",
)  # fmt: skip


def _write(path, values, labels=None) -> str:
    np.savez(path, **values, **({} if labels is None else {"labels": labels}))
    return str(path)


@pytest.fixture(scope="package")
def features(tmp_path_factory, quick_exports):
    """Clusters of three classes, moved in the target: flags, folder of the run, what the command said."""
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(0)
    centres, labels = rng.normal(size=(3, 5)) * 3, np.arange(30) % 3
    flags = [
        f"--{role}="
        + _write(folder / f"{role}.npz", {"features": centres[labels] + rng.normal(size=(30, 5)) + s}, labels)
        for role, s in (("source", 0), ("target", 0.5))
    ]
    flags = ("--pipeline=arrays", *flags, f"--workdir={folder / 'run'}")
    return flags, folder / "run", inprocess.succeed("train", *_TINY_FEATURES, *flags, "--steps=40")


def test_trains_on_features(features):
    _, run, said = features
    assert "arrays/source_target: 30 source and 30 target images, 3 classes in both" in said
    summary = commands.summary(run)
    assert summary["accuracy/source"] > 0.5 and summary["settings"]["extractor"] == "features:5"
    assert os.path.getsize(run / "report.html") > 1000
    assert "30 of 30" not in inprocess.succeed("evaluate", f"--workdir={run}")


def test_features_that_moved_are_named_anew(features, tmp_path):
    _, run, _ = features
    for role in ("source", "target"):
        shutil.copy(run.parent / f"{role}.npz", tmp_path / f"{role}.npz")
    places = [f"--{role}={tmp_path / role}.npz" for role in ("source", "target")]
    said = inprocess.succeed("evaluate", f"--workdir={run}", *places)
    assert "accuracy/target" in said and "not those" not in said


def test_the_export_takes_features(features):
    _, run, _ = features
    loaded = tf.saved_model.load(commands.summary(run)["export_dir"])
    with np.load(run.parent / "target.npz") as target, np.load(run / "evaluation.npz") as kept:
        asked = tf.constant(target["features"], tf.float32)
        answer = loaded.signatures["serving_default"](features=asked)
        assert rounding.distance(answer["probabilities"], kept["target_probabilities"]) < rounding.FORWARD
        assert [name.decode() for name in answer["label"].numpy()] == [
            str(label) for label in kept["target_probabilities"].argmax(axis=1)
        ]
    bad = loaded.signatures["serving_default"](features=tf.where(tf.range(30)[:, None] == 4, np.nan, asked))
    assert (bad["label"].numpy() == b"").tolist() == [row == 4 for row in range(30)]
    assert bad["score"][4] == 0


def test_the_other_formats_take_features(features):
    _, run, _ = features
    said = inprocess.succeed("export", f"--workdir={run}", "--format=keras,tflite").splitlines()
    assert said[-1] == str(run / "export" / "2.keras")
    with np.load(run.parent / "target.npz") as target, np.load(run / "evaluation.npz") as kept:
        asked, expected = target["features"].astype(np.float32), kept["target_probabilities"]
    assert sorted(os.listdir(run / "export")) == ["1", "2.keras", "2.labels.txt", "2.tflite"]
    answers = keras.models.load_model(run / "export" / "2.keras").predict(asked, verbose=0)
    assert rounding.distance(answers, expected) < rounding.FORWARD
    ask = tf.lite.Interpreter(str(run / "export" / "2.tflite")).get_signature_runner()
    np.testing.assert_allclose(ask(inputs=asked)["probabilities"], expected, atol=1e-3)


def test_an_export_of_features_is_asked_about_no_image(features, tmp_path):
    _, run, _ = features
    tf.io.write_file(str(tmp_path / "a.png"), tf.io.encode_png(np.zeros((8, 8, 3), np.uint8)))
    model = commands.summary(run)["export_dir"]
    assert "features" in commands.fail("predict", f"--model={model}", f"--images={tmp_path}", "--output=none.csv")


def test_inspects_features(features):
    flags, _, _ = features
    said = inprocess.succeed("inspect", *flags)
    assert "5 features of each" in said and "One training batch" not in said


def test_a_sweep_over_a_grid_has_a_row_of_each_value(features, tmp_path):
    """Its runs are trained in this process: test_sweep has the command."""
    words = [flag.removeprefix("--").partition("=") for flag in (*_TINY_FEATURES, *features[0])]
    given = {name: value for name, _, value in words if name != "workdir"} | {"report": False, "export": False}
    task, out = trials.own_data(given).name, str(tmp_path)
    runs = trials.plan(None, [task], ["gsda"], [0], given, out, trials.parse_grid(["beta:0,1"]))
    for run in runs:
        job.run(run.settings)
    said = pathlib.Path(write_results(None, runs, [], out)[1]).read_text()
    assert "# arrays/source_target" in said and "2 of 2 runs finished" in said
    table = said.partition("## ")[0]
    runs = tmp_path / "arrays" / "source_target" / "gsda"
    scores = [commands.summary(runs / f"beta={beta}" / "seed0")["accuracy/target"] for beta in (0, 1)]
    for beta, score in enumerate(scores):
        (line,) = [line for line in table.splitlines() if f", beta={beta} |" in line]
        assert f"{100 * score:.1f}" in line
