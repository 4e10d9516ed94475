import os
import resource

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.data import checking, image_files, images
from gsda_tf.data.domain import DomainData
from gsda_tf.data.records import FileRecords
from gsda_tf.datasets import loading
from gsda_tf.errors import DataError
from tests.data.pictures import bomb, encoded, folders, frames, odd_files, scans, write_domain

_GOOD = {
    "jpeg": encoded(),
    "progressive jpeg": encoded(progressive=True),
    "grey jpeg": encoded(mode="L"),
    "cmyk jpeg": encoded(mode="CMYK"),
    "jpeg with bytes after its end": encoded() + bytes(5000),
    "png": encoded("PNG"),
    "grey png": encoded("PNG", mode="L"),
    "png with a palette": encoded("PNG", mode="P"),
    "png with transparency": encoded("PNG", mode="RGBA"),
    "jpeg of some more scans": scans(20),
    "gif that is larger than its screen": frames((30, 20), (9, 9)),
    "16-bit png": tf.io.encode_png(np.arange(0, 60_000, 100, np.uint16).reshape(20, 30, 1)).numpy(),
    "gif": encoded("GIF"),
    **odd_files(),
}
_BAD_INSIDE = {
    "gif cut": encoded("GIF")[:-30],
    "bmp cut": encoded("BMP")[:-30],
    "tiff cut": encoded("TIFF")[:-30],
    "gif of a frame without its pixels": frames((5000, 5000)),
}
_BAD = {
    "empty": (b"", "empty file"),
    "text": (b"this is no image, whatever its name says", "that can be read, it begins with"),
    "icon": (encoded("ICO"), "that can be read, it begins with"),
    "jpeg cut in its pixels": (encoded()[:-100], "truncated JPEG"),
    "jpeg cut in its header": (encoded()[:60], "truncated JPEG"),
    "jpeg of three bytes": (encoded()[:3], "truncated JPEG"),
    "png cut in its pixels": (encoded("PNG")[:-20], "truncated PNG"),
    "png cut in its header": (encoded("PNG")[:20], "PNG"),
    "gif of its header": (encoded("GIF")[:8], "that can be read, it begins with"),
    "gif whose frame is larger than its screen": (frames((12_000, 12_000)), "pixels"),
    "jpeg of scans without end": (scans(1000), "JPEG of 1,010 scans of 64x64 pixels"),
    "bomb": (bomb(), "more than the 100,000,000 pixels"),
}


def _write(folder, content: bytes, name: str = "image.jpg") -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


@pytest.mark.parametrize("kind", _GOOD)
def test_good_files_pass_and_can_be_decoded(tmp_path, kind):
    path = _write(tmp_path, _GOOD[kind])
    assert image_files.check_file(path) is None
    domain = DomainData("x", FileRecords([path]), np.zeros(1, np.int32))
    assert checking.find_bad(domain) == []


@pytest.mark.parametrize("kind", _BAD)
def test_bad_files_are_found_and_cannot_be_decoded(tmp_path, kind):
    content, reason = _BAD[kind]
    path = _write(tmp_path, content)
    assert reason in image_files.check_file(path)
    domain = DomainData("x", FileRecords([path]), np.zeros(1, np.int32))
    assert [index for index, _ in checking.find_bad(domain)] == [0]


@pytest.mark.parametrize("kind", _BAD_INSIDE)
def test_damage_that_only_decoding_finds(tmp_path, kind):
    path = _write(tmp_path, _BAD_INSIDE[kind])
    domain = DomainData("x", FileRecords([path]), np.zeros(1, np.int32))
    ((index, reason),) = checking.find_bad(domain)
    assert index == 0 and reason.startswith("cannot be decoded: ") and reason.isprintable()


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    # Tests may run as root, whom no permission stops.
    path = _write(tmp_path, _GOOD["jpeg"])

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", denied)
    assert image_files.check_file(path) == "cannot be opened: Permission denied"


def test_a_header_bomb_is_refused_before_memory_is_taken():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(tf.errors.InvalidArgumentError, match="pixels is not decoded"):
        images.decode(tf.constant(bomb()))
    # Decoded, it would be 1.2 GB; ru_maxrss is in KB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


class TestTask:
    """What the user sees before training."""

    @pytest.fixture
    def dirs(self, tmp_path):
        source = write_domain(tmp_path / "s", {"bike": 2, "mug": 2})
        return source, write_domain(tmp_path / "t", {"bike": 2, "mug": 2}, first=9)

    @pytest.mark.parametrize("kind", _BAD)
    def test_error_names_the_file_and_what_to_do(self, dirs, kind):
        content, reason = _BAD[kind]
        path = os.path.join(dirs[1], "mug", "bad one.jpg")
        with open(path, "wb") as file:
            file.write(content)
        with pytest.raises(DataError) as refused:
            loading.load(folders(*dirs))
        message = str(refused.value)
        assert f"target images cannot be read: {path}: " in message and reason in message
        assert "--on_bad_image=skip" in message and message.isprintable()

    def test_many_are_counted(self, dirs):
        for index in range(9):
            with open(os.path.join(dirs[0], "bike", f"x{index}.png"), "wb"):
                pass
        with pytest.raises(DataError, match=r"^9 of the .* source images cannot be read: .* and 4 more\."):
            loading.load(folders(*dirs))

    def test_skip_tells_each_once_and_leaves_it_out(self, dirs, capsys):
        good = loading.load(folders(*dirs))
        names = ("a\nb.jpg", "z.png")
        for name, content in zip(names, (b"", _BAD["jpeg cut in its pixels"][0])):
            with open(os.path.join(dirs[0], "mug", name), "wb") as file:
                file.write(content)
        data = loading.load(folders(*dirs, on_bad_image="skip", data_dir=os.path.dirname(dirs[0])))
        said = capsys.readouterr().out.splitlines()
        assert len(said) == 2 and all(line.startswith("Left out of the source: ") for line in said)
        assert "a\\nb.jpg: empty file" in said[0] and "z.png: truncated JPEG" in said[1]
        assert data.source.labels.tolist() == good.source.labels.tolist()
        assert [data.source.records.name(i) for i in range(4)] == [good.source.records.name(i) for i in range(4)]
        load = [data.source.records.load(tf.constant(i, tf.int64)).numpy() for i in range(4)]
        assert load == [good.source.records.load(tf.constant(i, tf.int64)).numpy() for i in range(4)]

    def test_skip_finds_damage_further_in(self, dirs, capsys):
        content = bytearray(encoded("PNG"))
        content[len(content) // 2] ^= 0xFF
        path = os.path.join(dirs[0], "mug", "inside.png")
        with open(path, "wb") as file:
            file.write(content)
        assert len(loading.load(folders(*dirs)).source) == 5, "only decoding can tell"
        assert len(loading.load(folders(*dirs, on_bad_image="skip", data_dir=os.path.dirname(dirs[0]))).source) == 4
        assert path in capsys.readouterr().out

    def test_skip_needs_an_image_of_every_class(self, dirs):
        for name in os.listdir(os.path.join(dirs[0], "mug")):
            with open(os.path.join(dirs[0], "mug", name), "wb"):
                pass
        with pytest.raises(DataError, match="No image of the source's class 'mug' can be read"):
            loading.load(folders(*dirs, on_bad_image="skip", data_dir=os.path.dirname(dirs[0])))

    def test_an_error_while_decoding_names_the_file(self, dirs):
        data = loading.load(folders(*dirs))
        victim = data.target.records.name(2)
        with open(victim, "wb") as file:
            file.write(b"damaged since")
        with pytest.raises(DataError) as refused, checking.decoding_errors(data):
            images.decode(data.target.records.load(tf.constant(2, tf.int64)))
        assert f"target images cannot be read: {victim}" in str(refused.value)

    def test_other_errors_stay_what_they_are(self, dirs):
        data = loading.load(folders(*dirs))
        with pytest.raises(tf.errors.InvalidArgumentError), checking.decoding_errors(data):
            tf.reshape(tf.zeros([3]), [2])


def test_an_image_that_cannot_be_read_has_no_digest(tmp_path):
    """One for all such would be taken for one image, whose features are kept."""
    domain = DomainData("d", FileRecords([str(tmp_path / "gone.png")]), np.zeros(1, np.int32))
    with pytest.raises(DataError, match=r"gone.png cannot be read: mend or remove it"):
        checking.content_digests(domain, str(tmp_path / "kept"))
    assert not list(tmp_path.glob("kept/*"))
