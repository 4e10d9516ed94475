"""Training on one's own images, as a user does it: two folders, and what is wrong with them."""

import csv
import dataclasses
import os
import re
import shutil

import pytest

from gsda_tf import recipes
from gsda_tf.data.fingerprint import fingerprint
from gsda_tf.datasets import loading
from gsda_tf.errors import UserError
from tests.data.pictures import encoded, odd_files, write_domain
from tests.faults import inprocess
from tests.launch import commands

_TINY = (
    "--extractor=small_cnn", "--weights=none", "--image_size=28", "--resize_size=32", "--steps=4", "--evaluate_steps=4",
    "--source_batch=6", "--target_batch=6", "--evaluation_batch=12", "--bottleneck_units=8", "--noreport", "--noexport",
    "--method=mcc",
)  # fmt: skip
_CLASSES = ("bike", "mug", "pen")


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos of mine")
    write_domain(root / "amazon", dict.fromkeys(_CLASSES, 4))
    write_domain(root / "webcam", dict.fromkeys(_CLASSES, 3), first=50)
    return root


def _folders(root, target="webcam") -> tuple[str, ...]:
    return ("--pipeline=folders", f"--source_dir={root / 'amazon'}", f"--target_dir={root / target}")


def test_skipping_bad_images_is_as_if_they_were_not_there(photos, capsys):
    given = {"source_dir": str(photos / "amazon"), "target_dir": str(photos / "webcam"), "on_bad_image": "skip"}
    settings = recipes.resolve(given).data
    whole = fingerprint(loading.load(settings))
    bad = [photos / "amazon" / "mug" / "empty.jpg", photos / "webcam" / "pen" / "cut.jpg"]
    bad[0].write_bytes(b"")
    bad[1].write_bytes(encoded()[:-50])
    try:
        with pytest.raises(UserError, match=re.escape(str(bad[0]))):
            loading.load(dataclasses.replace(settings, on_bad_image="error"))
        capsys.readouterr()
        data = loading.load(settings)
        said = "\n".join([*capsys.readouterr(), *data.remarks])
    finally:
        for path in bad:
            path.unlink()
    assert fingerprint(data) == whole
    assert [said.count(str(path)) for path in bad] == [1, 1]


def test_damage_that_only_decoding_finds_names_the_file(photos, tmp_path):
    content = bytearray(encoded("PNG"))
    content[len(content) // 2] ^= 0xFF
    bad = photos / "amazon" / "mug" / "inside.png"
    bad.write_bytes(content)
    try:
        code, _, line = inprocess.command("train", *_TINY, *_folders(photos), f"--workdir={tmp_path}")
    finally:
        bad.unlink()
    assert code == 2 and line.count("Error: ") == 1
    assert all(part in line for part in ("source images cannot be read", str(bad), "--on_bad_image=skip"))


def test_an_unlabelled_target_claims_no_accuracy(photos, tmp_path):
    (tmp_path / "new").mkdir()
    for number in range(5):
        (tmp_path / "new" / f"{number}.png").write_bytes(encoded("PNG", number))
    flags = ("--pipeline=folders", f"--source_dir={photos / 'amazon'}", f"--target_dir={tmp_path / 'new'}")
    output = inprocess.succeed("train", *_TINY, *flags, f"--workdir={tmp_path / 'run'}")
    summary = commands.summary(tmp_path / "run")
    assert "folders/amazon_new: 12 source and 5 target images, 3 source classes" in output
    assert summary["accuracy/target"] is None and summary["accuracy/target_mean_class"] is None
    assert "no accuracy is claimed" in output and "no labels" in output


def test_odd_files_are_the_same_images_in_every_command(photos, tmp_path, quick_exports):
    """Formats that Pillow reads, and photographs that lie on their side, in folders as people have them."""
    for domain in ("s", "t"):
        shutil.copytree(photos / ("amazon" if domain == "s" else "webcam"), tmp_path / domain)
        for name, content in odd_files().items():
            (tmp_path / domain / "mug" / "2021").mkdir(exist_ok=True)
            (tmp_path / domain / "mug" / "2021" / name).write_bytes(content)
        (tmp_path / domain / "@eaDir").mkdir()
        (tmp_path / domain / "@eaDir" / "thumb.jpg").write_bytes(encoded())
        (tmp_path / domain / "pen" / "phone.heic").write_bytes(b"no image")
    count = 9 + len(odd_files())
    folders = ("--pipeline=folders", f"--source_dir={tmp_path / 's'}", f"--target_dir={tmp_path / 't'}")
    printed = inprocess.succeed("inspect", *_TINY[:5], *folders, f"--sheet={tmp_path / 'sheet.png'}")
    assert "1 .heic" in printed
    run = ("train", *_TINY, *folders, "--export", f"--workdir={tmp_path / 'run'}")
    printed = inprocess.succeed(*run)
    assert f"{count} target images, 3 classes in both" in printed and "1 .heic" in printed
    output = tmp_path / "rows.csv"
    commands.succeed(
        "predict", f"--model={tmp_path / 'run' / 'export'}", f"--images={tmp_path / 't'}", f"--output={output}"
    )
    with open(output, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    bad = [row["path"] for row in rows if row["error"]]
    assert len(rows) == count + 1 and bad == [str(tmp_path / "t" / "pen" / "phone.heic")]
    classes = [os.path.relpath(row["path"], tmp_path / "t").split(os.sep)[0] for row in rows]
    right = sum(row["label"] == name for row, name in zip(rows, classes))
    assert commands.summary(tmp_path / "run")["accuracy/target"] == pytest.approx(right / count, abs=1e-6)
