"""Object storage: whoever answers there may lie, drip or say nothing; fsspec's storage in memory stands for gs://."""

import importlib.util
import io
import threading

import pytest

from gsda_tf import storage
from gsda_tf.errors import DiskError, UserError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket():
    system = fsspec.filesystem("memory")
    system.pipe("/lies/images/00.png", b"x" * 10)
    yield "memory://lies"
    system.rm("/lies", recursive=True)


def test_what_is_read_is_counted_whatever_its_length_is_said_to_be(bucket, monkeypatch):
    class Endless(io.RawIOBase):
        sent = 0

        def read(self, size=-1):
            assert size > 0
            Endless.sent += size
            return bytes(size)

    system = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(system, "_open", lambda *_, **__: Endless())
    monkeypatch.setattr(system, "info", lambda *_, **__: {"size": 10, "type": "file", "name": "x"})
    with pytest.raises(storage.TooLargeError, match="larger than 3,000,000 bytes"):
        storage.read(f"{bucket}/images/00.png", 3_000_000)
    assert Endless.sent == 3_000_001


def test_nobody_is_waited_for_without_end(bucket, tmp_path, monkeypatch):
    """Neither to open, nor for the rest, nor to write: what comes in drips ends, too, as it takes too long."""
    held = threading.Event()

    class Drips(io.RawIOBase):
        def read(self, size=-1):
            held.wait(0.01)
            return b"x"

        def write(self, data):
            held.wait()

    monkeypatch.setattr(storage, "_SECONDS", 0.1)
    monkeypatch.setattr(storage, "_LISTING_SECONDS", 0.1)
    monkeypatch.setattr(storage, "_SLOWEST", 10**9)
    system = type(fsspec.filesystem("memory"))
    (tmp_path / "rows.csv").write_text("x")
    others = set(threading.enumerate())
    try:
        monkeypatch.setattr(system, "find", lambda *_, **__: held.wait())
        with pytest.raises(DiskError, match=r"0 bytes came or went within \d+ s"):
            storage.find(bucket, (".png",))
        monkeypatch.setattr(system, "_open", lambda *_, **__: Drips())
        with pytest.raises(DiskError, match=r"\d+ bytes came or went within \d+ s"):
            storage.read(f"{bucket}/images/00.png", 10**6)
        with pytest.raises(DiskError, match="0 bytes came or went"):
            storage.upload(str(tmp_path / "rows.csv"), f"{bucket}/rows.csv")
    finally:
        held.set()
        for thread in set(threading.enumerate()) - others:  # those that are not waited for any more
            thread.join(60)


@pytest.mark.parametrize(
    "error, told",
    [
        (PermissionError(13, "Access Denied"), DiskError),
        (FileNotFoundError("no such bucket"), DiskError),
        (ValueError("bad credentials"), UserError),
    ],
)
def test_a_refused_upload_is_told(error, told, bucket, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "_open", refuse)
    (tmp_path / "rows.csv").write_text("x")
    with pytest.raises(told, match=rf"^memory://lies/rows\.csv cannot be reached: {type(error).__name__}: "):
        storage.upload(str(tmp_path / "rows.csv"), f"{bucket}/rows.csv")


def test_other_kinds_are_told():
    for address in ("nonsense://x/y", "file:///dev/zero", "reference://x", "zip://x::file:///y.zip", "local:///x"):
        with pytest.raises(UserError, match="is not read or written: expected a path, or an address of gs://"):
            storage.read(address, 10)
    if importlib.util.find_spec("s3fs") is None:
        with pytest.raises(UserError, match="cannot be reached: ImportError: Install s3fs"):
            storage.find("s3://bucket/x", (".png",))
