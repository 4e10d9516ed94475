"""The table of bad input: each case is refused in one line that says what was found, what was expected and what to do,
with an exit code of its own, and nothing is written."""

import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gsda_tf.data import inspection
from gsda_tf.data.checking import find_bad
from gsda_tf.datasets import loading
from tests.data.pictures import bomb, encoded, folders, write_domain
from tests.faults import inprocess

_MEND = "Mend or remove them, or leave them out with --on_bad_image=skip"


@pytest.fixture
def dirs(tmp_path):
    """Two domains of two classes."""
    source = write_domain(tmp_path / "data" / "amazon", {"bike": 2, "mug": 2})
    return source, write_domain(tmp_path / "data" / "webcam", {"bike": 2, "mug": 2}, first=9)


def _refuse(tmp_path, *flags) -> str:
    """The message; and nothing was written."""
    before = inprocess.tree(tmp_path)
    message = inprocess.refuse(*inprocess.SMALL, f"--workdir={tmp_path / 'run'}", f"--data_dir={tmp_path}", *flags)
    assert inprocess.tree(tmp_path) == before
    return message


def _folders(dirs) -> list[str]:
    return ["--pipeline=folders", f"--source_dir={dirs[0]}", f"--target_dir={dirs[1]}"]


_IMAGES = {
    "truncated JPEG": (encoded()[:-100], "truncated JPEG, its end is missing"),
    "empty file": (b"", "empty file"),
    "text named .jpg": (b"no image at all", "that can be read, it begins with b'no image'"),
    "header bomb": (bomb(), "more than the 100,000,000 pixels"),
}


@pytest.mark.parametrize("case", _IMAGES)
@pytest.mark.parametrize("name", ["one.jpg", "with space.jpg", "new\nline.jpg", "ünï-コード.jpg"])
def test_images(case, name, dirs, tmp_path):
    content, reason = _IMAGES[case]
    path = os.path.join(dirs[1], "mug", name)
    with open(path, "wb") as file:
        file.write(content)
    message = _refuse(tmp_path, *_folders(dirs))
    assert "target images cannot be read: " in message and reason in message and _MEND in message
    assert path.replace("\n", "\\n") in message


def test_unusual_images_are_read(dirs):
    """What is unusual but no mistake is trained on, not refused."""
    from gsda_tf.data.batches import TrainingBatches
    from gsda_tf.datasets import loading
    from tests.data.pictures import folders

    folder = os.path.join(dirs[0], "bike")
    frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "green")]
    frames[0].save(os.path.join(folder, "moving.gif"), save_all=True, append_images=frames[1:])
    for name, content in {
        "cmyk.jpg": encoded(mode="CMYK"),
        "sixteen bits.png": tf.io.encode_png(np.full((20, 24, 3), 40_000, np.uint16)).numpy(),
        "one pixel.png": tf.io.encode_png(np.full((1, 1, 3), 7, np.uint8)).numpy(),
        "c\nd.jpg": encoded(),
        "é.jpg": encoded(),
        b"\xff.jpg": encoded(),
    }.items():
        with open(os.path.join(os.fsencode(folder), os.fsencode(name)), "wb") as file:
            file.write(content)
    settings = folders(*dirs, image_size=16, resize_size=16, source_batch=22, target_batch=8, augmentation="none")
    data = loading.load(settings)
    assert len(data.source) == 4 + 7
    # Classes take turns, so 22 of them are each of the nine bikes at least once.
    batch = next(iter(TrainingBatches(data, settings, 0).dataset(0, 1)))
    images = batch["source_images"].numpy()
    assert images.shape == (22, 16, 16, 3)
    assert (images == 7).all(axis=(1, 2, 3)).any(), "the one pixel"
    assert (images == 40_000 // 256).all(axis=(1, 2, 3)).any(), "16 bits become 8"
    assert (images == (255, 0, 0)).all(axis=(1, 2, 3)).any(), "the first frame"


def _no_images(dirs):
    for name in os.listdir(os.path.join(dirs[0], "mug")):
        os.remove(os.path.join(dirs[0], "mug", name))


def _loop(dirs):
    os.symlink("loop", os.path.join(dirs[0], "loop"))


def _loop_above(dirs):
    os.symlink(dirs[0], os.path.join(dirs[0], "above"))


def _dead_link(dirs):
    os.symlink("nowhere.jpg", os.path.join(dirs[1], "bike", "dead.jpg"))


_FOLDERS = {
    "no images": (_no_images, "Class 'mug' of --source_dir is empty"),
    "link to itself": (_loop, "leads nowhere: mend or remove it"),
    "link to the folder above": (_loop_above, "a symbolic link that leads back"),
    "dead link": (_dead_link, "cannot be opened: No such file or directory"),
}


@pytest.mark.parametrize("case", _FOLDERS)
def test_folders(case, dirs, tmp_path):
    spoil, expected = _FOLDERS[case]
    spoil(dirs)
    assert expected in _refuse(tmp_path, *_folders(dirs))


def test_unreadable(dirs, tmp_path, monkeypatch):
    # Tests may run as root, whom no permission stops.
    victim, original = os.path.join(dirs[0], "mug"), os.scandir

    def denied(path):
        if path == victim:
            raise PermissionError(13, "Permission denied", path)
        return original(path)

    monkeypatch.setattr(os, "scandir", denied)
    message = _refuse(tmp_path, *_folders(dirs))
    assert "Permission denied" in message and "expected a folder that can be read" in message


def _lists(dirs, source: bytes, target: bytes = b"webcam/bike/frame_0000.jpg 0\nwebcam/mug/frame_0001.jpg 1\n"):
    root = os.path.dirname(dirs[0])
    os.makedirs(os.path.join(root, "other"))
    shutil.copy(os.path.join(dirs[1], "bike", os.listdir(os.path.join(dirs[1], "bike"))[0]), f"{root}/other/x.jpg")
    flags = ["--pipeline=lists"]
    for name, content in (("source", source), ("target", target)):
        path = os.path.join(root, f"{name}.txt")
        with open(path, "wb") as file:
            file.write(content)
        flags.append(f"--{name}_list={path}")
    return flags


_GOOD = b"amazon/bike/frame_0000.jpg 0\namazon/mug/frame_0001.jpg 1\n"
_LISTS = {
    "missing paths": ((b"amazon/bike/none.jpg 0\n" + _GOOD,), "1 of the 3 files of"),
    "a label out of range": ((_GOOD, b"other/x.jpg 7\n"), "other/x.jpg 7')) is not a class of the source"),
    "a label below zero": ((_GOOD + b"amazon/bike/frame_0001.jpg -2\n",), "label -2 is out of range"),
    "-1 on some lines": (
        (_GOOD + b"amazon/bike/frame_0001.jpg -1\n",),
        "1 of the 3 images of the source have no label",
    ),
    "a path that climbs out": ((b"../../etc/passwd 0\n" + _GOOD,), "leads out of"),
    "an absolute path": ((b"/etc/passwd 0\n" + _GOOD,), "leads out of"),
    "missing behind Windows line ends": ((_GOOD.replace(b"\n", b"\r\n") + b"none.jpg 1\r\n",), "line 3 (none.jpg)"),
    "missing behind a byte-order mark": ((b"\xef\xbb\xbfnone.jpg 0\n" + _GOOD,), "line 1 (none.jpg)"),
    "no text": ((b"\xff\xd8\xff\xe0binary",), "is no UTF-8 text"),
    "empty": ((b"\n\n",), "is empty: expected 'path label' a line"),
    "labels on some lines": (
        (_GOOD + b"amazon/bike/frame_0001.jpg\n",),
        "1 of the 3 images of the source have no label",
    ),
}


@pytest.mark.parametrize("case", _LISTS)
def test_lists(case, dirs, tmp_path):
    contents, expected = _LISTS[case]
    assert expected in _refuse(tmp_path, *_lists(dirs, *contents))


def test_windows_line_ends_and_a_byte_order_mark_are_no_mistake(dirs):
    from gsda_tf import recipes
    from gsda_tf.datasets import loading

    flags = dict(f[2:].split("=") for f in _lists(dirs, b"\xef\xbb\xbf" + _GOOD.replace(b"\n", b"\r\n")))
    assert len(loading.load(recipes.written(flags).data).source) == 2


def _model(tmp_path, *layers, shape=(16, 16, 3)):
    path = str(tmp_path / "model.keras")
    keras.Sequential([keras.Input(shape), *layers]).save(path)
    return path


def _text_file(tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    return [f"--extractor={tmp_path / 'text.keras'}"], "is no .keras file"


def _lambda(tmp_path):
    path = _model(tmp_path, keras.layers.Lambda(lambda x: x * 2))
    return [f"--extractor={path}"], "it holds a lambda, that is, code"


def _grey_model(tmp_path):
    path = _model(tmp_path, keras.layers.Conv2D(2, 3), shape=(16, 16, 1))
    return [f"--extractor={path}"], "expected one image input [N, H, W, 3]"


def _larger_model(tmp_path):
    path = _model(tmp_path, keras.layers.Conv2D(2, 3), shape=(20, 20, 3))
    return [f"--extractor={path}"], "takes (None, 20, 20, 3), expected one image input [N, H, W, 3]"


def _foreign_weights(tmp_path):
    path = str(tmp_path / "other.weights.h5")
    keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(2, 3, name="other")]).save_weights(path)
    return [f"--weights={path}"], "are not the weights of small_cnn"


def _no_weights(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"no weights")
    return [f"--weights={tmp_path / 'x.h5'}"], "are not the weights of small_cnn"


def _noise(tmp_path):
    path = _model(tmp_path, keras.layers.GaussianNoise(1.0), keras.layers.Conv2D(2, 3))
    return [f"--extractor={path}", "--preprocessing=minus_one_to_one"], "cannot be repeated after an interruption"


@pytest.mark.parametrize(
    "case", [_text_file, _lambda, _grey_model, _larger_model, _foreign_weights, _no_weights, _noise]
)
def test_models(case, dirs, tmp_path):
    from gsda_tf.compat import KERAS_3

    if case is _noise and KERAS_3:
        pytest.skip("Keras 3 keeps the state of every random layer in a variable")
    flags, expected = case(tmp_path)
    before = inprocess.tree(tmp_path)
    message = inprocess.refuse(*inprocess.SMALL, f"--workdir={tmp_path / 'run'}", *_folders(dirs), *flags)
    assert expected in message
    left = set(inprocess.tree(tmp_path)) - set(before)
    assert left <= {str(tmp_path / "run" / ".lock")}, "nothing but the lock of the folder"


def test_skip_reports_each_file_once_and_decodes_no_file_twice(dirs, tmp_path, capsys, monkeypatch):
    from gsda_tf.data import images, records
    from gsda_tf.datasets import loading
    from tests.data.pictures import folders

    for name in ("a.jpg", "b.jpg"):
        with open(os.path.join(dirs[1], "mug", name), "wb") as file:
            file.write(encoded()[:-100])
    settings = folders(*dirs, on_bad_image="skip", data_dir=str(tmp_path / "kept"))
    decoded = []
    monkeypatch.setattr(records, "SETTLED", 0.0)
    original = images.decode
    monkeypatch.setattr(images, "decode", lambda record: decoded.append(1) or original(record))
    assert len(loading.load(settings).target) == 4
    told = [line for line in capsys.readouterr().out.splitlines() if "Left out" in line]
    assert len(told) == 2 and "a.jpg: truncated JPEG" in told[0] and "b.jpg: truncated JPEG" in told[1]
    assert len(decoded) == 8  # the good ones; the others show by their ends
    assert len(loading.load(settings).target) == 4
    assert [line for line in capsys.readouterr().out.splitlines() if "Left out" in line] == told
    assert len(decoded) == 8
    changed = os.path.join(dirs[1], "mug", "a.jpg")
    with open(changed, "wb") as file:
        file.write(encoded())
    assert len(loading.load(settings).target) == 5 and len(decoded) == 9
    with open(changed, "wb") as file:
        file.write(b"")
    assert len(loading.load(settings).target) == 4
    (kept,) = {os.path.dirname(path) for path in inprocess.tree(tmp_path / "kept")}
    for path in inprocess.tree(kept):
        with open(path, "w") as file:
            file.write("damaged \\u")
    assert len(loading.load(settings).target) == 4 and len(decoded) == 17


def test_names_are_text_to_whoever_looks_before_training(tmp_path):
    """No command to the terminal, no line of its own, no turned text, and the picture lies where it should."""
    names = ["\x1b[31mred\x1b]0;title\x07", "a\nError: all is lost", "\u202egnp.exe", "<b>$x$"]
    dirs = [
        write_domain(tmp_path / top, dict.fromkeys(names, 1), first) for first, top in enumerate(("\x1b[2J", "a\nb"))
    ]
    (tmp_path / "a\nb" / names[0] / "\x1b[5m.jpg").write_bytes(b"no image")
    data = loading.index(folders(*dirs))
    told = inspection.describe(data, *map(find_bad, (data.source, data.target)))
    assert all(line.isprintable() for line in told.splitlines()) and "a\\nError: all is lost" in told
    assert "\\x1b[5m.jpg" in told and not any(line.startswith("Error") for line in told.splitlines())
    assert data.name.isprintable() and data.name.count(os.sep) == 1
