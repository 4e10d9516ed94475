import csv
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.data.images import ImageGeometry, seen
from gsda_tf.data.records import FileRecords
from gsda_tf.errors import UserError
from gsda_tf.serving import predict
from gsda_tf.serving.model import Model, local_model
from tests import rounding
from tests.data.pictures import encoded, odd_files
from tests.launch import commands

NAMES = ["cat", "dog"]


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Thirteen images in two folders, and two files that are none."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(13):
        folder = root / NAMES[i % 2]
        folder.mkdir(exist_ok=True)
        image = rng.integers(0, 256, (12, 14, 3), np.uint8)
        (folder / f"picture {i:02}.png").write_bytes(tf.io.encode_png(image).numpy())
    (root / "cat" / "empty.jpg").write_bytes(b"")
    (root / "cat" / "text.jpg").write_text("no image")
    return str(root)


@pytest.fixture(scope="package")
def exported(cats_and_dogs):
    return cats_and_dogs


@pytest.fixture(scope="package")
def model(exported):
    return local_model(exported)


def _csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _jsonl(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _counting(model, asked, dies_after=None):
    """The model, with the sizes of its batches noted; killed when it was asked so often."""

    def ask(records, features):
        if len(asked) == dies_after:
            raise KeyboardInterrupt
        asked.append(len(records))
        return model.ask(records, features)

    return dataclasses.replace(model, ask=ask)


def test_command_writes_a_row_for_every_image(images, exported, model, tmp_path):
    output = tmp_path / "rows.csv"
    told = commands.succeed(
        "predict", f"--model={exported}", f"--images={images}", f"--output={output}", "--batch=4",
        "--probabilities", "--features", "--score",
    )  # fmt: skip
    assert "15 images in " in told and " images/s)" in told
    assert "2 of 15 could not be read" in told and "empty.jpg: empty file" in told
    rows = _csv(output)
    assert [row["path"] for row in rows] == predict.find_images(images)
    right = []
    for row in rows:
        p, f = ([row[f"{kind}_{x}"] for x in names] for kind, names in (("probability", NAMES), ("feature", range(4))))
        if row["error"]:
            assert row["label"] == "" and float(row["score"]) == 0 and set(p + f) == {""}
            continue
        with open(row["path"], "rb") as file:
            alone = model.ask([file.read()], True)
        assert rounding.distance(np.asarray(p, float), alone["probabilities"][0]) < rounding.FORWARD
        assert rounding.distance(np.asarray(f, float), alone["features"][0]) < rounding.FORWARD
        assert row["label"] == alone["label"][0] == NAMES[int(np.argmax(np.asarray(p, float)))]
        np.testing.assert_allclose(float(row["score"]), max(map(float, p)), rtol=1e-6)
        right.append(row["label"] == os.path.basename(os.path.dirname(row["path"])))
    assert f"accuracy: {100 * np.mean(right):.2f} %" in told and "of 13 readable images" in told
    errors = {os.path.basename(row["path"]): row["error"] for row in rows if row["error"]}
    assert errors.pop("empty.jpg") == "empty file"
    assert list(errors) == ["text.jpg"] and errors["text.jpg"].endswith("it begins with b'no image'")
    assert os.listdir(tmp_path) == ["rows.csv"]


def test_jsonl_has_the_columns_of_the_csv(images, model, tmp_path):
    outputs = [str(tmp_path / f"rows.{kind}") for kind in ("jsonl", "csv")]
    for output in outputs:
        predict.predict(model, predict.find_images(images), output, wanted=("probabilities", "features"))
    for row, cells in zip(_jsonl(outputs[0]), _csv(outputs[1])):
        assert list(row) == list(cells) and row["path"] == cells["path"]
        numbers = [row[f"probability_{name}"] for name in NAMES] + [row[f"feature_{k}"] for k in range(4)]
        if row["error"]:
            assert numbers == [None] * 6
        else:
            assert row["score"] == max(numbers[:2]) and float(cells["probability_dog"]) == row["probability_dog"]


def test_every_format_that_training_reads_is_predicted_from_the_same_pixels(model, tmp_path, capsys):
    files = odd_files()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "phone.heic").write_bytes(b"....ftypheic")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "a.jpg").write_bytes(encoded())
    output = str(tmp_path / "rows.jsonl")
    predict.predict(model, predict.find_images(str(tmp_path)), output, wanted=("probabilities",))
    rows = {os.path.basename(row["path"]): row for row in _jsonl(output)}
    assert "passed over" in capsys.readouterr().out
    assert rows.pop("phone.heic")["error"].startswith("no JPEG") and sorted(rows) == sorted(files)
    records = FileRecords([str(tmp_path / name) for name in rows])
    for i, row in enumerate(rows.values()):
        trained_on = seen(records.load(tf.constant(i, tf.int64)), ImageGeometry(8, 8))
        expected = model.ask([tf.io.encode_png(trained_on).numpy()], False)["probabilities"][0]
        assert row["error"] == ""
        said = np.asarray([row[f"probability_{name}"] for name in NAMES])
        assert rounding.distance(said, expected) < rounding.FORWARD, row["path"]


def test_an_interrupted_run_goes_on_where_it_was(images, model, tmp_path):
    paths = predict.find_images(images)
    whole, broken = str(tmp_path / "whole.jsonl"), str(tmp_path / "broken.jsonl")
    predict.predict(model, paths, whole, batch=4)
    with pytest.raises(KeyboardInterrupt):
        predict.predict(_counting(model, [], dies_after=2), paths, broken, batch=4)
    assert not os.path.exists(broken)
    kept = len(_partial(tmp_path).read_bytes().splitlines())
    assert kept <= 8
    asked = []
    result = predict.predict(_counting(model, asked), paths, broken, batch=4)
    assert (sum(asked), result.resumed, result.images) == (len(paths) - kept, kept, len(paths))
    for first, second in zip(_jsonl(whole), _jsonl(broken)):
        assert first.pop("score") == pytest.approx(second.pop("score"), rel=rounding.FORWARD)
        assert first == second


def _partial(folder):
    (path,) = folder.glob("*.partial")
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("damage", [b'{"path": "cut o', b"\0\0\0\0\n", b'{"path": 3}\n', b'["row"]\n'])
def test_rows_that_a_crash_damaged_are_predicted_again(damage, kind, images, model, tmp_path):
    paths, output = predict.find_images(images), str(tmp_path / f"rows.{kind}")
    partial, head = _left_by(model, paths, output), int(kind == "csv")
    lines = partial.read_bytes().splitlines(keepends=True)
    assert len(lines) == len(paths) + head
    partial.write_bytes(b"".join(lines[: 5 + head]) + damage)
    asked = []
    predict.predict(_counting(model, asked), paths, output)
    assert sum(asked) == len(paths) - 5
    assert [row["path"] for row in (_csv if head else _jsonl)(output)] == paths


def _left_by(model, paths, output, wanted=()):
    """The partial file of a run that was killed when all rows were there."""

    def killed(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(predict.rows.os, "replace", killed)
        predict.predict(model, paths, output, wanted=wanted)
    return _partial(pathlib.Path(output).parent)


@pytest.mark.parametrize("change", ["model", "wanted", "images"])
def test_rows_of_another_run_are_left_alone(change, images, model, tmp_path):
    paths, output = predict.find_images(images), str(tmp_path / "rows.csv")
    partial = _left_by(model, paths, output)
    before = partial.read_bytes()
    changed = dataclasses.replace(model, identity="another" if change == "model" else model.identity)
    others = paths[1:] if change == "images" else paths
    result = predict.predict(changed, others, output, wanted=("features",) if change == "wanted" else ())
    assert result.resumed == 0 and [row["path"] for row in _csv(output)] == others
    assert partial.read_bytes() == before
    assert predict.predict(model, paths, output).resumed == len(paths) and not partial.exists()


def test_one_output_has_one_writer(images, model, tmp_path):
    paths, output = predict.find_images(images), str(tmp_path / "rows.csv")

    def meanwhile(records, features):
        with pytest.raises(UserError, match="Another run is writing"):
            predict.predict(model, paths, output)
        return model.ask(records, features)

    predict.predict(dataclasses.replace(model, ask=meanwhile), paths, output, batch=100)
    assert len(_csv(output)) == len(paths)


def test_a_stopped_command_goes_on(images, exported, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{path}\n" for path in predict.find_images(images) if path.endswith("png")) * 150)
    output = tmp_path / "rows.csv"
    flags = ("predict", f"--model={exported}", f"--images={listed}", f"--output={output}", "--batch=2")
    process = commands.start(*flags)
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        if any(path.stat().st_size > 2000 for path in tmp_path.glob("*.partial")):
            process.send_signal(signal.SIGTERM)
            break
        time.sleep(0.01)
    process.communicate()
    assert process.returncode == 75 and not output.exists()
    assert "more from an interrupted run" in commands.succeed(*flags)
    assert len(_csv(output)) == 13 * 150


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(exported, tmp_path, repository):
    """Kept as they are read, the 19,500 images more of the longer list would take 230 MiB."""
    rng = np.random.default_rng(0)
    for i in range(20):
        image = rng.integers(0, 256, (64, 64, 3), np.uint8)
        (tmp_path / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    peak = {}
    for count in (500, 20_000):
        (tmp_path / "list.txt").write_text("".join(f"{i % 20}.png\n" for i in range(count)))
        flags = [f"--model={exported}", f"--images={tmp_path / 'list.txt'}", f"--output={tmp_path / f'{count}.csv'}"]
        command = [sys.executable, "-m", "launch.predict", *flags, "--probabilities", "--features"]
        with open(tmp_path / "said", "w") as said:
            process = subprocess.Popen(command, cwd=repository, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, (tmp_path / "said").read_text()
        peak[count] = usage.ru_maxrss / 1024  # MiB
    assert peak[20_000] < peak[500] + 60, peak


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--model=nowhere", "--images={images}"], "holds no export"),
        (["--images=."], "--model is missing"),
        (["--model=x", "--images=missing"], "no such image, folder, pattern or list file"),
        (["--model={exported}", "--images=s3://bucket/images"], "no such image, folder"),
        (["--model={exported}", "--images={images}", "--output=s3://bucket/o.csv"], "expected a path that ends in"),
        (["--model={exported}", "--images={images}", "--output={tmp}/o.txt"], "that ends in .csv or .jsonl"),
    ],
)
def test_a_mistake_is_told_in_one_line(flags, expected, images, exported, tmp_path):
    flags = [flag.format(images=images, tmp=tmp_path, exported=exported) for flag in flags]
    assert expected in commands.fail("predict", *flags)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_rows_are_scored_where_the_class_is_known_and_the_image_can_be_read(ending, images, tmp_path):
    def dogs(records, features):
        labels = ["=dog" if record.startswith(b"\x89PNG") else "" for record in records]
        return {"label": labels, "score": np.ones(len(records), np.float32)}

    paths, output = predict.find_images(images), str(tmp_path / f"a.{ending}")
    predict.predict(Model("", ("cat", "=dog"), dogs), paths, output)
    known = [{"dog": "=dog"}.get(name, name) for name in (os.path.basename(os.path.dirname(path)) for path in paths)]
    count, right, mean = predict.accuracies(output, known)  # seven cats, six dogs
    assert count == 13
    np.testing.assert_allclose((right, mean), (6 / 13, 1 / 2))
    assert predict.accuracies(output, [None if name == "cat" else name for name in known]) == (6, 1.0, 1.0)
    assert predict.accuracies(output, [None] * len(paths))[0] == 0


def test_the_class_is_that_of_a_lists_label_or_of_a_folder_however_deep(tmp_path):
    names = ("cat", "caf\u00e9")
    for folder in ("cat/2021", "cafe\u0301", "other/cat"):
        (tmp_path / "in [2021]" / folder).mkdir(parents=True)
        (tmp_path / "in [2021]" / folder / "a.png").write_bytes(b"")
    for where in (tmp_path / "in [2021]", f"{tmp_path}/in [2021]/**/*.png"):
        paths = predict.find_images(str(where))
        assert [os.path.basename(os.path.dirname(path)) for path in paths] == ["cafe\u0301", "2021", "cat"]
        nested = "cat" if where == tmp_path / "in [2021]" else None
        assert predict.known_classes(str(where), paths, names) == ["caf\u00e9", nested, "cat"]
    listed = tmp_path / "list.csv"
    for labels in (("cat", "cafe\u0301"), ("0", "1")):
        listed.write_text(f"in [2021]\\cat\\2021\\a.png,{labels[0]}\nin [2021]/caf\u00e9/a.png,{labels[1]}\n")
        paths = predict.find_images(str(listed))
        assert all(map(os.path.isfile, paths)) and predict.known_classes(str(listed), paths, names) == [*names]


def test_images_are_found_in_folders_links_patterns_and_lists(images, tmp_path):
    everything = predict.find_images(images)
    assert len(everything) == 15 and everything == sorted(everything)
    os.symlink(images, tmp_path / "link")
    os.symlink(tmp_path, tmp_path / "loop")
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    assert [os.path.relpath(p, tmp_path / "link") for p in predict.find_images(str(tmp_path))] == [
        os.path.relpath(p, images) for p in everything
    ]
    pngs = predict.find_images(f"{images}/*/*.png")
    assert pngs == [path for path in everything if path.endswith("png")]
    assert predict.find_images(pngs[3]) == [pngs[3]]
    listed = tmp_path / "list.txt"
    listed.write_text("link/dog/picture 01.png 1\nmissing.png 0\n")
    assert predict.find_images(str(listed)) == [
        str(tmp_path / "link/dog/picture 01.png"),
        str(tmp_path / "missing.png"),
    ]


def test_what_cannot_be_opened_is_told(model, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    name = os.fsdecode(b"not unicode \xff.png")
    (tmp_path / name).write_bytes(tf.io.encode_png(np.zeros([8, 8, 3], np.uint8)).numpy())
    paths = [str(tmp_path / n) for n in ("missing.png", "pipe.jpg", name)]
    result = predict.predict(model, paths, str(tmp_path / "rows.csv"))
    assert dict(result.reasons) == {
        paths[0]: "cannot be opened: No such file or directory",
        paths[1]: "is a pipe: expected a file",
    }
    assert os.fsencode(paths[2]) in (tmp_path / "rows.csv").read_bytes()
