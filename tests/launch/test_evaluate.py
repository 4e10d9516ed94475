import os

from PIL import Image

from tests.launch import commands


def test_the_checkpoint_scores_as_the_run_did(tmp_path):
    workdir = str(tmp_path)
    commands.succeed("train", *commands.TINY, "--method=source_only", f"--workdir={workdir}", "--noreport")
    output = commands.succeed("evaluate", f"--workdir={workdir}")
    summary = commands.summary(workdir)
    for name in ("source_accuracy", "target_accuracy", "target_mean_class_accuracy"):
        line = next(line for line in output.splitlines() if line.strip().startswith(name.replace("_", " ") + " "))
        assert line.split()[-2] == f"{100 * summary[name]:.2f}"
    with Image.open(os.path.join(workdir, "confusion_matrix.png")) as picture:
        assert min(picture.size) > 200


def test_what_is_missing_is_told():
    assert "--workdir is missing" in commands.fail("evaluate")
