"""Object storage: whoever answers there may lie, drip or say nothing; fsspec's storage in memory stands for gs://."""

import contextlib
import gzip
import importlib.util
import io
import itertools
import socket
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
    system = type(fsspec.filesystem("memory"))
    (tmp_path / "rows.csv").write_text("x")
    others = set(threading.enumerate())
    try:
        monkeypatch.setattr(system, "find", lambda *_, **__: held.wait())
        with pytest.raises(DiskError, match=r"it took more than \d+ s"):
            storage.find(bucket, (".png",))
        monkeypatch.setattr(system, "_open", lambda *_, **__: Drips())
        with pytest.raises(DiskError, match=r"it took more than \d+ s"):
            storage.read(f"{bucket}/images/00.png", 10**6)
        with pytest.raises(DiskError, match="it took more than"):
            storage.upload(str(tmp_path / "rows.csv"), f"{bucket}/rows.csv")
    finally:
        held.set()
        for thread in set(threading.enumerate()) - others:  # those that are not waited for any more
            thread.join(60)


@pytest.fixture
def web():
    """A web server on this machine whose answers are no good, each by its path; yields its address."""
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/10\r\n"
    endless = itertools.repeat(b"f4240\r\n" + bytes(10**6) + b"\r\n", 4000)
    answers = {
        "silent": [],
        "drips": itertools.chain([head + b"Content-Length: 10000\r\n\r\n"], itertools.repeat(b"x")),
        "more": itertools.chain([head + b"Content-Length: 4000000000\r\n\r\n"], itertools.repeat(bytes(10**6), 4000)),
        "chunked": itertools.chain([head + b"Transfer-Encoding: chunked\r\n\r\n"], endless),
        "packed": [head + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(bytes(10**7)) * 100],
        "elsewhere": [b"HTTP/1.1 302 Found\r\nLocation: file:///dev/zero\r\nContent-Length: 0\r\n\r\n"],
    }
    ended = threading.Event()

    def answer(connection):
        with connection, contextlib.suppress(OSError):
            asked = connection.recv(2**16)
            name = asked.split()[1].decode().strip("/").removesuffix(".png")
            if asked.startswith(b"HEAD") and name not in ("silent", "elsewhere"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nAccept-Ranges: bytes\r\n\r\n")
                return
            for part in answers[name]:
                connection.sendall(part)
                ended.wait(0.01 if part == b"x" else 0)
            ended.wait(5 if name == "silent" else 0)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=answer, args=(server.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = [threading.Thread(target=serve)]
        threads[0].start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(60)


def _memory(name: str) -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) / 1000  # MB


@pytest.mark.parametrize(
    "name, told, error",
    [
        ("silent", "it took more than", DiskError),
        ("drips", "it took more than", DiskError),
        ("more", "larger than 3,000,000 bytes", storage.TooLargeError),
        ("chunked", "larger than 3,000,000 bytes", storage.TooLargeError),
        ("packed", "larger than 3,000,000 bytes", storage.TooLargeError),
        ("elsewhere", "elsewhere.png", FileNotFoundError),
    ],
)
def test_a_web_server_that_lies(name, told, error, web, monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(storage, "_SECONDS", 1.0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    before = _memory("VmRSS")
    with pytest.raises(error, match=told):
        storage.read(f"{web}/{name}.png", 3_000_000)
    assert _memory("VmHWM") - before < 100


def test_a_web_server_is_not_asked_what_lies_there():
    assert storage.find("https://x.org/a.png", (".png",)) == ["https://x.org/a.png"]
    with pytest.raises(UserError, match="is on a web server, which lists no folders"):
        storage.find("http://x.org/photos/", (".png",))


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
    for address in (
        "nonsense://x/y",
        "file:///dev/zero",
        "webhdfs://x/y",
        "reference://x",
        "zip://x::file:///y.zip",
        "local:///x",
    ):
        with pytest.raises(UserError, match="is not read or written: expected a path, or an address of gs://"):
            storage.read(address, 10)
    if importlib.util.find_spec("s3fs") is None:
        with pytest.raises(UserError, match="cannot be reached: ImportError: Install s3fs"):
            storage.find("s3://bucket/x", (".png",))
