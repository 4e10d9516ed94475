"""A run that is adapted to new target images without its source."""

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

import gsda_tf
from gsda_tf import job, recipes
from gsda_tf.errors import UserError
from gsda_tf.runs.contents import read_snapshot, read_summary
from gsda_tf.training.experiment import restore
from gsda_tf.training.run import train
from tests import rounding

STEPS = 6
SMALL = {"steps": STEPS, "bottleneck_units": 4, "source_batch": 8, "target_batch": 8, "evaluate_steps": STEPS}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Files of features, and a run that was trained on two of them."""
    folder = tmp_path_factory.mktemp("adapted")
    rng, labels = np.random.default_rng(0), np.arange(30) % 3
    for name, shift in (("source", 0.0), ("target", 0.3), ("new", 0.6)):
        rows = (np.eye(3, 5)[labels] + shift + 0.1 * rng.normal(size=(30, 5))).astype(np.float32)
        np.savez(folder / f"{name}.npz", features=rows, labels=np.array(["a", "b", "c"])[labels])
    train(with_source(folder, method="source_only", workdir=str(folder / "run")))
    return folder


def with_source(folder, **more):
    given = {**SMALL, "source": str(folder / "source.npz"), "target": str(folder / "target.npz"), "report": False}
    return recipes.resolve({**given, **more})


def settings(folder, **more):
    given = {**SMALL, "target": str(folder / "new.npz"), "init_from": str(folder / "run"), "method": "shot"}
    return recipes.resolve({**given, "workdir": str(folder / "shot"), **more})


def test_the_extractor_follows_the_new_images_and_the_classifier_stays(places):
    summary = job.run(settings(places))
    assert summary["accuracy/source"] is None and 0 <= summary["accuracy/target"] <= 1 and not summary["doubts"]
    assert (places / "shot" / "report.html").exists() and summary["export_dir"]
    before, after = (restore(str(places / name))[0] for name in ("run", "shot"))
    assert len(after.data.source) == 0 and after.data.class_names == ("a", "b", "c")
    for kept, now in zip(before.deployed[1].get_weights(), after.deployed[1].get_weights()):
        np.testing.assert_array_equal(kept, now)
    moved = zip(before.extractor.bottleneck.get_weights(), after.extractor.bottleneck.get_weights())
    assert any(not np.array_equal(old, new) for old, new in moved)
    rows = np.load(places / "new.npz")["features"]
    answer = tf.saved_model.load(summary["export_dir"]).signatures["serving_default"]
    said = answer(features=tf.constant(rows))["probabilities"].numpy()
    assert rounding.distance(said, after.inference(after.inputs.target).probabilities) < rounding.FORWARD


@pytest.mark.parametrize("prior", ["uniform", "estimate"])
def test_an_export_that_was_handed_on_is_adapted_as_its_run_is(prior, places, tmp_path):
    """Also where the logits of its classifier were moved to the class shares of another target."""
    made = job.run(
        settings(places, workdir=str(tmp_path / "run"), target_prior=prior, report=False, deterministic=True)
    )
    shutil.move(made["export_dir"], tmp_path / "handed")
    found = [
        train(settings(places, init_from=str(tmp_path / name), workdir=str(tmp_path / f"from_{name}")))
        for name in ("run", "handed")
    ]
    assert found[0]["weights_sha256"] == found[1]["weights_sha256"] != made["weights_sha256"]
    before = read_snapshot(str(tmp_path / "from_handed"))["target_features_before"]
    np.testing.assert_array_equal(before, read_snapshot(str(tmp_path / "run"))["target_features"])


def test_an_export_that_cannot_be_adapted_says_so(places, tmp_path):
    fitted = job.run(with_source(places, method="spl", spl_preparation="root", workdir=str(tmp_path / "spl")))
    with pytest.raises(UserError, match=r"has another network .--method=spl has weights of other shapes.: choose one"):
        train(settings(places, init_from=fitted["export_dir"], workdir=str(tmp_path / "x")))
    assets = os.path.join(fitted["export_dir"], "assets")
    path = os.path.join(assets, "settings.json")
    with open(path, encoding="utf-8") as file:
        told = json.load(file)
    for change, said in (
        ({"generation": "keras1"}, "is of keras1, this is keras"),
        ({"settings": {**told["settings"], "bottleneck_units": -1}}, "is damaged"),
        ({"class_names": [1, 2]}, "is damaged: its class_names"),
        (None, "holds no run: expected settings.json"),
    ):
        os.remove(path)
        if change is not None:
            with open(path, "w", encoding="utf-8") as file:
                json.dump({**told, **change}, file)
        with pytest.raises(UserError, match=said):
            settings(places, init_from=fitted["export_dir"])


def test_from_python(places):
    target = gsda_tf.Domain("arrays", {"": str(places / "new.npz")})
    more = {**SMALL, "workdir": str(places / "python"), "report": False, "export": False}
    run = gsda_tf.adapt(None, target, method="shot", init_from=str(places / "run"), **more)
    assert run.scores["accuracy/source"] is None and len(run.predict(np.zeros((2, 5), np.float32))["label"]) == 2


def test_it_goes_on_where_it_was_stopped(places):
    whole = train(settings(places, workdir=str(places / "whole"), report=False, checkpoint_steps=3))
    for name in ("summary.json", f"checkpoints/ckpt-{STEPS}.index"):
        (places / "whole" / name).unlink()
    assert read_summary(str(places / "whole")) is None
    again = train(settings(places, workdir=str(places / "whole"), report=False, checkpoint_steps=3))
    assert again["weights_sha256"] == whole["weights_sha256"]


def test_what_needs_a_source_says_so(places):
    with pytest.raises(UserError, match="--method=gsda needs a source, and there is none: choose one of aad"):
        train(settings(places, method="gsda", workdir=str(places / "gsda")))
    with pytest.raises(UserError, match="needs --source="):
        train(settings(places, init_from="", method="shot", workdir=str(places / "none")))
