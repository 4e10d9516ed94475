"""Reading archives in place, and refusing those that are out to harm."""

from __future__ import annotations

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
    members, problem = archives.listing(path)
    assert problem is None
    assert [member.path for member in members] == [path for path, _ in FILES]
    assert list(archives.read(path, members)) == [data for _, data in FILES]
    assert archives.is_archive(name)
    assert archives.stem(name) == "a"


@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
def test_reads_in_any_order(tmp_path, name):
    path = str(tmp_path / name)
    fakes.write_archive(path, FILES)
    members = archives.listing(path).members[::-1]
    assert list(archives.read(path, members)) == [data for _, data in FILES[::-1]]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
@pytest.mark.parametrize("escape", ["../bus/1.jpg", "/bus/1.jpg", "train/../../1.jpg", "C:/bus/1.jpg"])
def test_refuses_a_member_that_leads_out(tmp_path, name, escape):
    path = str(tmp_path / name)
    fakes.write_archive(path, [*FILES, (escape, b"x")])
    members, problem = archives.listing(path)
    assert members == []
    assert "leads out" in problem


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_refuses_links_and_devices_in_a_tar(tmp_path, kind):
    path = str(tmp_path / "a.tar")
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("train/bus/1.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    assert "not a plain file" in archives.listing(path).problem


def test_refuses_a_link_in_a_zip(tmp_path):
    path = str(tmp_path / "a.zip")
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("train/bus/1.jpg")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert "is a link" in archives.listing(path).problem


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_refuses_too_many_and_too_much(tmp_path, monkeypatch, name):
    path = str(tmp_path / name)
    fakes.write_archive(path, FILES)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 4)
    assert "more than 4 files" in archives.listing(path).problem
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 1000)
    assert "more than" in archives.listing(path).problem


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_does_not_unpack_a_bomb(tmp_path, monkeypatch, name):
    path = str(tmp_path / name)
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("train/bus/1.jpg", bytes(3_000_000))
    else:
        fakes.write_archive(path, [("train/bus/1.jpg", bytes(3_000_000))])
    monkeypatch.setattr(archives, "MAX_IMAGE_BYTES", 1_000_000)
    members, problem = archives.listing(path)
    assert problem is None
    with pytest.raises(DataError, match="more than any image"):
        list(archives.read(path, members))


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_names_a_truncated_archive(tmp_path, name):
    path = tmp_path / name
    fakes.write_archive(path, FILES)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    members, problem = archives.listing(str(path))
    if problem is None:  # a plain tar can be cut between two members: then some are missing
        assert len(members) < len(FILES)
    else:
        assert "damaged" in problem


def test_says_when_a_member_ends_early(tmp_path):
    path = tmp_path / "a.tar"
    fakes.write_archive(path, FILES)
    members = archives.listing(str(path)).members
    path.write_bytes(path.read_bytes()[: members[-1].place + 10])
    with pytest.raises(DataError, match="get it anew"):
        list(archives.read(str(path), members))
