"""A finished run scored and exported again."""

import json
import os

import pytest
import tensorflow as tf
from PIL import Image

from gsda_tf.data.domain import evenly
from gsda_tf.training.experiment import restore
from tests import rounding
from tests.faults import inprocess
from tests.launch import commands


@pytest.fixture(scope="package")
def workdir(tmp_path_factory, quick_exports):
    workdir = str(tmp_path_factory.mktemp("run"))
    inprocess.succeed(
        "train", *commands.TINY, "--checkpoint_steps=10", "--keep_checkpoints=9", "--noreport",
        "--method=source_only", f"--workdir={workdir}",
    )  # fmt: skip
    return workdir


def test_the_checkpoint_scores_as_the_run_did(workdir):
    output = inprocess.succeed("evaluate", f"--workdir={workdir}")
    summary = commands.summary(workdir)
    for name in ("accuracy/source", "accuracy/target", "accuracy/target_mean_class"):
        line = next(line for line in output.splitlines() if line.strip().startswith(name + " "))
        assert line.split()[1] == f"{100 * summary[name]:.2f}"
    with Image.open(os.path.join(workdir, "confusion_matrix.png")) as picture:
        assert min(picture.size) > 200


def test_any_checkpoint_is_exported(workdir):
    output = inprocess.succeed("export", f"--workdir={workdir}", "--step=20")
    path = output.splitlines()[-1]
    assert path == os.path.join(workdir, "export", "2")
    with open(os.path.join(path, "assets", "summary.json"), encoding="utf-8") as file:
        assert json.load(file) == {**commands.summary(workdir), "exported_step": 20}
    experiment, _ = restore(workdir, 20)
    images = experiment.data.target.chosen(evenly(len(experiment.data.target), 8))
    samples = tf.constant(images.records.samples(evenly(8, 8)))
    found = tf.saved_model.load(path).signatures["serving_default"](image_bytes=samples)
    assert rounding.distance(found["probabilities"], experiment.inference(images).probabilities) < rounding.FORWARD
    code, _, told = inprocess.command("export", f"--workdir={workdir}", "--step=7")
    assert code == 2 and "no checkpoint of step 7: there are 10, 20, 30, 40" in told


def test_what_is_missing_is_told():
    for command in ("evaluate", "export"):
        code, _, told = inprocess.command(command)
        assert code == 2 and "--workdir is missing" in told
