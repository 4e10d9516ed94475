"""Runs on one's own images, later: data that changed, moved or have other names, and training on from a run."""

import json
import os
import shutil

import numpy as np
import pytest

from gsda_tf import recipes
from gsda_tf.errors import UserError
from gsda_tf.models.classifier import build_classifier
from gsda_tf.runs.initial import Initial
from gsda_tf.sweeps import trials
from gsda_tf.training.callbacks import standard
from gsda_tf.training.experiment import restore
from launch import train
from tests.data.pictures import encoded, write_domain
from tests.faults import inprocess

_CLASSES = {"bike": 4, "mug": 3, "pen": 3}
_SMALL = (
    "--extractor=small_cnn", "--weights=none", "--image_size=16", "--resize_size=16", "--discriminator_units=4",
    "--bottleneck_units=4", "--source_batch=4", "--target_batch=4", "--evaluation_batch=8", "--evaluate_steps=100",
    "--noexport", "--noreport", "--nodeterministic", "--method=source_only",
)  # fmt: skip


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Images of two domains and, in `run`, a finished run of 2 steps on them."""
    root = tmp_path_factory.mktemp("trained")
    write_domain(root / "shop", _CLASSES)
    write_domain(root / "desk", dict.fromkeys(_CLASSES, 3), first=50)
    assert "Finished before" not in _train(root)
    return root


@pytest.fixture
def photos(trained, tmp_path):
    """A copy of `trained`, to change."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    settings = tmp_path / "run" / "settings.json"
    settings.write_text(settings.read_text().replace(str(trained), str(tmp_path)))
    return tmp_path


def _folders(root):
    return (f"--source_dir={root / 'shop'}", f"--target_dir={root / 'desk'}")


def _train(root, *more, steps=2, workdir="run"):
    return inprocess.succeed(
        "train", *_SMALL, f"--steps={steps}", f"--workdir={root / workdir}", *_folders(root), *more
    )


def _refused(root, *more, workdir="run"):
    return inprocess.refuse(*_SMALL, "--steps=2", f"--workdir={root / workdir}", *_folders(root), *more)


def _summary(root, workdir="run"):
    return json.loads((root / workdir / "summary.json").read_text())


def test_a_finished_run_is_finished_until_its_data_change(photos):
    assert "Finished before, nothing was trained" in _train(photos)
    (photos / "desk" / "pen" / "new.jpg").write_bytes(encoded(number=99))
    before = inprocess.tree(photos / "run")
    said = _refused(photos)
    assert "finished run of other data (target class 'pen': 3 images then, 4 now)" in said
    assert "--overwrite" in said and f"--init_from={photos / 'run'}" in said and "launch.evaluate" in said
    assert inprocess.tree(photos / "run") == before
    assert "Finished before" not in _train(photos, "--overwrite")


def test_a_sweep_counts_a_run_as_finished_for_the_data_that_it_was_made_with(photos):
    settings = recipes.written(json.loads((photos / "run" / "settings.json").read_text())["settings"])
    done = trials.Trial(settings.replace({"workdir": str(photos / "run")}), (), "folders/shop_desk")
    assert done.summary() is not None
    trials.check_data([done])
    (photos / "shop" / "pen" / "new.jpg").write_bytes(encoded(number=99))
    with pytest.raises(UserError, match=r"finished run of other data \(source class 'pen': 3 images then, 4 now\)"):
        trials.check_data([done])


def test_an_interrupted_run_keeps_its_checkpoints_when_its_data_change(photos):
    (photos / "run" / "summary.json").unlink()
    whole = (photos / "desk" / "mug" / "frame_0000.jpg").read_bytes()
    (photos / "desk" / "mug" / "frame_0000.jpg").write_bytes(whole + b"\0")
    before = inprocess.tree(photos / "run")
    said = _refused(photos)
    assert "started run of other data (target class 'mug': " in said
    assert "amaged" not in said and inprocess.tree(photos / "run") == before
    (photos / "desk" / "mug" / "frame_0000.jpg").write_bytes(whole)
    assert "Going on from step 2" in _train(photos)


def test_data_that_moved_are_named_anew(photos):
    first = inprocess.succeed("evaluate", f"--workdir={photos / 'run'}").splitlines()
    (photos / "elsewhere").mkdir()
    for name in ("shop", "desk"):
        shutil.move(photos / name, photos / "elsewhere" / name)
    moved = _folders(photos / "elsewhere")
    code, _, told = inprocess.command("evaluate", f"--workdir={photos / 'run'}")
    assert code == 2 and "No such file or directory" in told
    assert inprocess.succeed("evaluate", f"--workdir={photos / 'run'}", *moved).splitlines() == first
    (photos / "run" / "summary.json").unlink()
    assert "Going on from step 2" in _train(photos, *moved)
    assert json.loads((photos / "run" / "settings.json").read_text())["settings"]["source_dir"] == moved[0][13:]
    code, _, told = inprocess.command("evaluate", f"--workdir={photos / 'run'}", "--source_list=x.txt")
    assert code == 2 and "--source_list" in told and "is for --pipeline=lists" in told


@pytest.mark.parametrize("command", ["evaluate", "export"])
@pytest.mark.parametrize("rename", ["kettle", "zebra"])
def test_classes_that_were_renamed_or_added_are_refused(command, rename, photos):
    for domain in ("shop", "desk"):
        os.rename(photos / domain / "mug", photos / domain / rename)
    write_domain(photos / "shop", {"added": 2})
    code, _, told = inprocess.command(command, f"--workdir={photos / 'run'}")
    assert code == 2 and "'added'" in told and f"'{rename}'" in told and "'bike', 'mug', 'pen'" in told
    assert not (photos / "run" / "export").exists()
    assert f"source class {rename!r}: 0 images then, 3 now" in _refused(photos)


def _lists(root, numbers):
    for domain in ("shop", "desk"):
        lines = [
            f"{domain}/{name}/{file} {numbers[name]}\n"
            for name in _CLASSES
            for file in sorted(os.listdir(root / domain / name))
        ]
        (root / f"{domain}.txt").write_text("".join(lines))
    return (f"--source_list={root / 'shop.txt'}", f"--target_list={root / 'desk.txt'}")


def test_the_names_of_classes_belong_to_the_weights(photos):
    """Lists that number the classes otherwise name them in another order. Later, images come to the target."""
    more = _lists(photos, {"bike": 0, "mug": 1, "pen": 2})
    workdir = f"--workdir={photos / 'listed'}"
    inprocess.succeed(
        "train", *_SMALL, "--method=domain", "--steps=4", "--pseudo_label_period=2", workdir, *more
    )  # fmt: skip
    names = json.loads((photos / "listed" / "settings.json").read_text())["class_names"]
    first = inprocess.succeed("evaluate", workdir)
    _lists(photos, {"bike": 2, "mug": 0, "pen": 1})
    assert inprocess.succeed("evaluate", workdir) == first
    for number in range(5):
        (photos / "desk" / "mug" / f"new_{number}.jpg").write_bytes(encoded(number=70 + number))
    _lists(photos, {"bike": 2, "mug": 0, "pen": 1})
    said = inprocess.succeed("evaluate", workdir)
    assert "not those that the run was trained on (target class 'mug': 3 images then, 8 now)" in said
    assert "accuracy/target" in said
    experiment, _ = restore(str(photos / "listed"))
    assert list(experiment.data.class_names) == names
    for domain in (experiment.data.source, experiment.data.target):
        of_file = [os.path.basename(os.path.dirname(domain.records.name(i))) for i in range(len(domain))]
        assert [names[label] for label in domain.labels] == of_file


def test_one_place_is_one_place_however_it_is_written(photos, monkeypatch):
    (photos / "home").mkdir()
    monkeypatch.setenv("HOME", str(photos))
    monkeypatch.chdir(photos / "home")
    flags = ("--source_dir=~/shop/", "--target_dir=../desk/../desk", "--steps=2")
    assert "Finished before" in inprocess.succeed("train", *_SMALL, *flags, "--workdir=~/run")
    experiment, _ = restore("../run")
    experiment.extractor.backbone.save_weights(photos / "kept.weights.h5")
    inprocess.succeed("train", *_SMALL, *flags, "--workdir=~/second", "--weights=~/kept.weights.h5")
    assert (photos / "second" / "summary.json").exists() and os.listdir(photos / "home") == []
    assert "Finished before" in _train(photos, "--weights=../kept.weights.h5", workdir="second")
    monkeypatch.chdir(photos)
    assert "accuracy/target" in inprocess.succeed("evaluate", "--workdir=run")


def test_training_goes_on_longer_in_a_new_run(photos):
    said = inprocess.refuse(*_SMALL, "--steps=4", f"--workdir={photos / 'run'}", *_folders(photos))
    assert "--steps=2 then, 4 now" in said and f"--init_from={photos / 'run'}" in said
    # A learning rate of 0 shows what the new run starts from.
    more = (f"--init_from={photos / 'run'}", f"--workdir={photos / 'next'}", *_folders(photos))
    kept = [flag for flag in _SMALL if not flag.startswith(("--extractor", "--image", "--resize", "--bottleneck"))]
    said = inprocess.succeed("train", *kept, "--steps=3", "--learning_rate=0", *more)
    assert f"Starts from the weights of {photos / 'run'}, step 2." in said
    assert _summary(photos, "next")["weights_sha256"] == _summary(photos)["weights_sha256"]
    assert _summary(photos, "next")["settings"]["extractor"] == "small_cnn"
    assert "Finished before" in inprocess.succeed("train", *kept, "--steps=3", "--learning_rate=0", *more)
    assert "is the folder of this very run" in inprocess.refuse(
        *kept, *more, f"--workdir={photos / 'run'}", "--overwrite"
    )
    assert "holds no run" in inprocess.refuse(*kept, *more, f"--init_from={photos / 'shop'}")
    assert "--bottleneck_units=4 there, 8 now" in inprocess.refuse(
        *kept, *more, "--bottleneck_units=8", f"--workdir={photos / 'other'}"
    )
    assert not (photos / "other" / "settings.json").exists()


def test_a_new_run_takes_the_classes_that_it_knows_by_name(trained, capsys):
    initial = Initial(str(trained / "run"))
    whole = restore(str(trained / "run"))[0].method.classifier
    for names, said in ((["pen", "mug"], "step 2, 2 of its 3 classes."), (["bike", "mug", "pen"], "step 2.")):
        classifier = build_classifier(4, len(names))
        initial.into_classifier(classifier, names)
        columns = [list(_CLASSES).index(name) for name in names]
        for new, old in zip(classifier.get_weights(), whole.get_weights()):
            np.testing.assert_array_equal(new, old[..., columns])
        assert capsys.readouterr().out.endswith(f"{said}\n")
    classifier = build_classifier(4, 4)
    before = classifier.get_weights()
    initial.into_classifier(classifier, ["anvil", *_CLASSES])
    for new, old in zip(classifier.get_weights(), before):
        np.testing.assert_array_equal(new, old)
    said = "the classifier starts anew: that run does not know 1 of the 4 classes, such as 'anvil'"
    assert said in capsys.readouterr().out


def test_a_frozen_run_starts_from_a_run_and_goes_on_without_it(photos):
    frozen = ("--freeze_backbone", f"--feature_cache_dir={photos / 'features'}", f"--init_from={photos / 'run'}")
    said = _train(photos, *frozen, workdir="frozen")
    assert f"Features of the frozen backbone are kept in {photos / 'features'}" in said
    weights = _summary(photos, "frozen")["weights_sha256"]
    shutil.rmtree(photos / "run" / "checkpoints")
    (photos / "frozen" / "summary.json").unlink()
    _train(photos, *frozen, workdir="frozen")
    assert _summary(photos, "frozen")["weights_sha256"] == weights
    assert len({*os.listdir(photos / "features")} - {"contents"}) == 1, "one backbone"


def test_the_pipeline_follows_from_where_the_images_are(photos):
    settings = _summary(photos)["settings"]
    assert settings["pipeline"] == "folders" and settings["task"] == ""
    assert "--task=digits/Fo_Ha" in _refused(photos, "--task=digits/Fo_Ha")


def test_a_doubt_is_told_below_the_result(trained, capsys):
    train.print_summary({**_summary(trained), "doubts": ["The source's own images are classified by chance."]})
    assert capsys.readouterr().out.endswith("\nCaution: The source's own images are classified by chance.\n")


def test_two_classes_need_no_flag(tmp_path, monkeypatch):
    """Each default fits: groups, periods, batches and sizes. And the time that is left is told."""
    monkeypatch.setattr(standard, "TOLD_AFTER", 0.0)
    write_domain(tmp_path / "shop", {"bad": 1, "good": 2})
    write_domain(tmp_path / "desk", {"bad": 1, "good": 1}, first=50)
    places = (*_folders(tmp_path), f"--workdir={tmp_path / 'run'}")
    said = inprocess.succeed("train", "--extractor=small_cnn", "--steps=3", "--noexport", "--noreport", *places)
    assert "No groups of classes, as there are 2 classes" in said
    assert "--image_size=32 (what small_cnn is made for)" in said
    assert "The target has 2 images, a batch takes 36" in said
    assert "steps take about" in said
    summary = _summary(tmp_path)
    assert summary["groups"] == [] and summary["settings"]["pseudo_label_period"] == 1
    said = inprocess.refuse(*places[:2], "--extractor=small_cnn", "--num_groups=3", f"--workdir={tmp_path / 'x'}")
    assert "--num_groups=3 asks for more groups than there are classes (2)" in said


def test_a_method_that_keeps_the_source_is_evaluated_on_another(photos):
    """Nearest neighbours among the images of then, one variable row each."""
    flags = [flag for flag in _SMALL if not flag.startswith(("--method", "--discriminator", "--bottleneck"))]
    workdir = f"--workdir={photos / 'tca'}"
    inprocess.succeed("train", *flags, "--method=tca", "--tca_units=3", workdir, *_folders(photos))
    first = inprocess.succeed("evaluate", workdir)
    (photos / "shop" / "pen" / "new.jpg").write_bytes(encoded(number=99))
    said = inprocess.succeed("evaluate", workdir)
    assert "source class 'pen': 3 images then, 4 now" in said
    lines = [[line for line in each.splitlines() if "accuracy/target" in line] for each in (first, said)]
    assert lines[0] == lines[1] != []


def test_a_part_of_the_source_is_not_trained_on_and_scores(photos):
    said = _train(photos, "--holdout=0.34", workdir="held")
    assert "Held out: 3 of 10 source images are not trained on" in said and "% (held-out images)" in said
    experiment, _ = restore(str(photos / "held"))
    source, held = experiment.data.source, experiment.data.held
    files = [{domain.records.name(i) for i in range(len(domain))} for domain in (source, held)]
    assert not files[0] & files[1] and len(files[0] | files[1]) == 10
    np.testing.assert_array_equal(held.labels, [0, 1, 2])
    right = np.mean(experiment.inference(held).predictions == held.labels)
    with open(photos / "held" / "summary.json") as file:
        summary = json.load(file)
    assert summary["accuracy/source"] == right and summary["source_scored"] == "held-out"
    assert "% (training images)" in _train(photos, workdir="run")
