"""A finished run scored and exported again; and --select: its export is the chosen step, its result the last."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gsda_tf.data.domain import evenly
from gsda_tf.evaluation import selection
from gsda_tf.runs.contents import read_metrics
from gsda_tf.serving.export import sample_images
from gsda_tf.training.experiment import restore
from tests import rounding
from tests.faults import inprocess
from tests.launch import commands


@pytest.fixture(scope="package")
def workdir(tmp_path_factory, quick_exports):
    """Neighbourhoods are densest at the start, when all predictions are alike: SND picks an early step."""
    workdir = str(tmp_path_factory.mktemp("run"))
    inprocess.succeed(
        "train", *commands.TINY, "--evaluate_steps=10", "--keep_checkpoints=9", "--select=snd", "--noreport",
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


def test_the_selected_step_is_exported_and_the_result_is_the_last(workdir):
    summary, lines = commands.summary(workdir), read_metrics(workdir)
    chosen = summary["selection"]["selected"]["step"]
    assert chosen == selection.best(lines, "snd") != 40
    assert summary["selection"]["last"]["step"] == summary["step"] == 40
    assert summary["accuracy/target"] == summary["selection"]["last"]["accuracy/target"]
    assert os.path.exists(os.path.join(workdir, "checkpoints", f"ckpt-{chosen}.index"))

    exported = tf.saved_model.load(summary["export_dir"]).signatures["serving_default"]
    answers = {}
    for step in (chosen, 40):
        experiment, _ = restore(workdir, step)
        images = experiment.data.target.chosen(evenly(len(experiment.data.target), 8))
        answers[step] = experiment.inference(images).probabilities
    found = exported(image_bytes=tf.constant(sample_images(images, 8)))["probabilities"].numpy()
    assert rounding.distance(found, answers[chosen]) < rounding.FORWARD
    assert np.abs(found - answers[40]).max() > 1e-3


def test_any_checkpoint_is_exported(workdir):
    output = inprocess.succeed("export", f"--workdir={workdir}", "--step=20")
    path = output.splitlines()[-1]
    assert path == os.path.join(workdir, "export", "2")
    with open(os.path.join(path, "assets", "summary.json"), encoding="utf-8") as file:
        assert json.load(file) == {**commands.summary(workdir), "exported_step": 20}
    experiment, _ = restore(workdir, 20)
    images = experiment.data.target.chosen(evenly(len(experiment.data.target), 8))
    found = tf.saved_model.load(path).signatures["serving_default"](image_bytes=tf.constant(sample_images(images, 8)))
    assert rounding.distance(found["probabilities"], experiment.inference(images).probabilities) < rounding.FORWARD
    code, _, told = inprocess.command("export", f"--workdir={workdir}", "--step=7")
    assert code == 2 and "no checkpoint of step 7: there are 10, 20, 30, 40" in told


def test_what_is_missing_is_told():
    for command in ("evaluate", "export"):
        code, _, told = inprocess.command(command)
        assert code == 2 and "--workdir is missing" in told
