"""Reading archives in place, and refusing those that are out to harm."""

from __future__ import annotations

import gzip
import tarfile
import zipfile

import pytest

from gsda_tf.datasets.preparing import archives
from gsda_tf.errors import DataError
from tests.datasets import fakes

FILES = [(f"train/bus/{i}.jpg", fakes.encoded(i)) for i in range(5)]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz"])
def test_reads_what_was_written(tmp_path, name):
    path = str(tmp_path / name)
    fakes.write_archive(path, FILES)
    members = archives.listing(path)
    assert [name for _, name in members] == [path for path, _ in FILES]
    places = [place for place, _ in members]
    assert list(archives.read(path, places)) == list(zip(places, (data for _, data in FILES)))
    assert list(archives.read(path, {places[3]})) == [(places[3], FILES[3][1])]
    assert archives.stem(name) == "a" and archives.stem("a.rar") is None


@pytest.mark.parametrize("size", [511, 512, 513, 10_240])
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_reads_a_compressed_archive_in_one_go(tmp_path, monkeypatch, name, size):
    """A step back in a compressed file unpacks all of it from its start again."""
    path = str(tmp_path / name)
    files = [(f"{i}.jpg", bytes([i]) * size) for i in range(20)]
    fakes.write_archive(path, files)
    rewound, rewind = [], gzip._GzipReader._rewind
    monkeypatch.setattr(gzip._GzipReader, "_rewind", lambda self: (rewound.append(1), rewind(self)))
    assert [data for _, data in archives.read(path, range(20))] == [data for _, data in files]
    assert not rewound


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
@pytest.mark.parametrize("escape", ["../bus/1.jpg", "/bus/1.jpg", "train/../../1.jpg", "C:/bus/1.jpg"])
def test_refuses_a_member_that_leads_out(tmp_path, name, escape):
    path = str(tmp_path / name)
    fakes.write_archive(path, [*FILES, (escape, b"x")])
    with pytest.raises(DataError, match="leads out"):
        archives.listing(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_refuses_links_and_devices_in_a_tar(tmp_path, kind):
    path = str(tmp_path / "a.tar")
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("train/bus/1.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match="not a plain file"):
        archives.listing(path)


def test_refuses_a_link_in_a_zip(tmp_path):
    path = str(tmp_path / "a.zip")
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("train/bus/1.jpg")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        archives.listing(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_refuses_too_many_and_too_much(tmp_path, monkeypatch, name):
    path = str(tmp_path / name)
    fakes.write_archive(path, FILES)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 4)
    with pytest.raises(DataError, match="more than 4 files"):
        archives.listing(path)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 1000)
    with pytest.raises(DataError, match="more than"):
        archives.listing(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_does_not_unpack_a_bomb(tmp_path, monkeypatch, name):
    path = str(tmp_path / name)
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("train/bus/1.jpg", bytes(3_000_000))
    else:
        fakes.write_archive(path, [("train/bus/1.jpg", bytes(3_000_000))])
    monkeypatch.setattr(archives, "MAX_IMAGE_BYTES", 1_000_000)
    [(place, _)] = archives.listing(path)
    with pytest.raises(DataError, match="more than any image"):
        list(archives.read(path, [place]))


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_names_a_truncated_archive(tmp_path, name):
    path = tmp_path / name
    fakes.write_archive(path, FILES)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    try:  # a plain tar can be cut between two members: then some are missing
        assert len(archives.listing(str(path))) < len(FILES)
    except DataError as error:
        assert "damaged" in str(error)


def test_says_when_a_member_ends_early(tmp_path):
    path = tmp_path / "a.tar"
    fakes.write_archive(path, FILES)
    places = [place for place, _ in archives.listing(str(path))]
    data = path.read_bytes()
    path.write_bytes(data[: data.index(FILES[-1][1]) + 10])
    with pytest.raises(DataError, match="get it anew"):
        list(archives.read(str(path), places))


def test_says_when_a_zip_holds_other_bytes_than_it_says(tmp_path):
    path = tmp_path / "a.zip"
    fakes.write_archive(path, FILES)
    data = bytearray(path.read_bytes())
    data[data.index(FILES[2][1]) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="get it anew"):
        list(archives.read(str(path), range(5)))
