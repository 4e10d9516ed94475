"""Predictions over Dask and of object storage: whoever is killed, the rows are those of one machine, byte for byte."""

import dataclasses
import functools
import os
import signal

import numpy as np
import pytest
from PIL import Image

from gsda_tf.errors import DiskError, UserError
from gsda_tf.serving import predict, shards
from gsda_tf.serving.model import local_model
from tests.dask_cluster import DaskCluster
from tests.launch import commands

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(scope="package")
def folder(cats_and_dogs, tmp_path_factory):
    """An export, eleven images and two files that are none, and a list that names them often."""
    root = tmp_path_factory.mktemp("pieces")
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    for i in range(11):
        path = root / "images" / f"{i:02}.png"
        Image.fromarray(rng.integers(0, 256, (12, 14, 3), np.uint8)).save(path)
    (root / "images" / "empty.jpg").write_bytes(b"")
    (root / "images" / "text.jpg").write_text("no image")
    os.symlink(os.path.dirname(cats_and_dogs), root / "export")
    (root / "list.txt").write_text("".join(f"images/{name}\n" for name in os.listdir(root / "images")) * 100)
    return root


def _flags(folder, output, *more):
    return ("predict", f"--model={folder / 'export'}", f"--images={folder / 'list.txt'}", f"--output={output}",
            "--batch=2", "--probabilities", *more)  # fmt: skip


def test_killed_workers_and_clients_lose_nothing_and_double_nothing(folder, tmp_path):
    expected, output = tmp_path / "expected.csv", tmp_path / "rows.csv"
    commands.succeed(*_flags(folder, expected))  # in a fresh process, as the workers are
    partial = tmp_path / "rows.csv.partial"

    def lines():
        return partial.read_bytes().count(b"\n") if partial.exists() else 0

    with DaskCluster(tmp_path, workers=2) as cluster:
        flags = _flags(folder, output, f"--scheduler={cluster.address}")
        client = commands.start(*flags)
        cluster.wait_for(lambda: lines() > 100)
        cluster.kill(cluster.workers[0])
        before = lines()
        cluster.wait_for(lambda: lines() > before + 50)
        client.send_signal(signal.SIGKILL)
        client.communicate()
        assert not output.exists() and 150 < lines() < 1300
        with open(partial, "ab") as file:
            file.write(b'{"path": "torn')
        told = commands.succeed(*flags)
        assert "more from an interrupted run" in told
    lines_here, lines_there = (path.read_bytes().splitlines(keepends=True) for path in (expected, output))
    assert [pair for pair in zip(lines_here, lines_there) if pair[0] != pair[1]][:5] == []
    assert len(lines_here) == len(lines_there)
    assert "rows.csv.partial" not in os.listdir(tmp_path)


class _Here:
    """A pool that answers at once, in this process."""

    def __init__(self):
        self.called = 0

    def threads(self):
        return 1

    def call(self, function, *arguments):
        from concurrent.futures import Future

        self.called += 1
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def model(folder):
    return local_model(str(folder / "export"))


def _predict(folder, model, output, pool, **options):
    spread = functools.partial(shards.answered, pool, (str(folder / "export"),))
    paths = predict.find_images(str(folder / "list.txt"))[:130]
    return predict.predict(model, paths, str(output), 3, spread=spread, **options)


def test_pieces_begin_where_they_always_do_and_a_row_is_asked_for_once(folder, model, tmp_path, monkeypatch):
    """The client dies when the third piece is in work; rows from before are kept, in whatever piece they end."""
    monkeypatch.setattr(shards, "_BATCHES", 4)
    pool, original = _Here(), shards.outcome

    def dies(future, failed):
        if pool.called == 7:
            raise KeyboardInterrupt
        return original(future, failed)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shards, "outcome", dies)
        _predict(folder, model, tmp_path / "rows.jsonl", pool)
    partial = tmp_path / "rows.jsonl.partial"
    lines = partial.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 2 * 12
    partial.write_bytes(b"".join(lines[:16]))
    again = _Here()
    assert _predict(folder, model, tmp_path / "rows.jsonl", again).resumed == 15
    assert again.called == 11 - 1
    predict.predict(model, predict.find_images(str(folder / "list.txt"))[:130], str(tmp_path / "one.jsonl"), 3)
    assert (tmp_path / "rows.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["one.jsonl", "rows.jsonl"]


def test_a_worker_with_another_model_or_without_the_folders_is_refused(folder, model, tmp_path):
    other = dataclasses.replace(model, identity="another")
    with pytest.raises(UserError, match=r"A worker found another model at .*export than the client"):
        _predict(folder, other, tmp_path / "rows.csv", _Here())
    assert not (tmp_path / "rows.csv").exists()
    with pytest.raises(UserError, match="A worker does not see /nowhere: all workers need"):
        next(shards.answered(_Here(), (str(folder / "export"),), model, "/nowhere", ["x.png"], 0, 1, {}))


class TestStorage:
    """fsspec's storage in memory stands for gs:// and s3://."""

    @pytest.fixture
    def bucket(self, folder):
        system = fsspec.filesystem("memory")
        for name in os.listdir(folder / "images"):
            system.pipe(f"/bucket/images/{name}", (folder / "images" / name).read_bytes())
        system.pipe("/bucket/images/.hidden/x.png", b"")
        system.pipe("/bucket/images/.y.png", b"")
        system.pipe("/bucket/list.txt", "".join(f"images/{n}\n" for n in os.listdir(folder / "images")).encode())
        yield "memory://bucket"
        system.rm("/bucket", recursive=True)

    def test_rows_are_those_of_files(self, folder, model, bucket, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        here = predict.find_images(str(folder / "images"))
        there = predict.find_images(f"{bucket}/images")
        assert [os.path.basename(path) for path in here] == [os.path.basename(path) for path in there]
        assert predict.find_images(f"{bucket}/images/*.png") == [path for path in there if path.endswith("png")]
        assert sorted(predict.find_images(f"{bucket}/list.txt")) == sorted(
            f"{bucket}/images/{os.path.basename(path)}" for path in here
        )
        predict.predict(model, here, "here.csv", 4)
        predict.predict(model, there, f"{bucket}/results/there.csv", 4)
        got = fsspec.filesystem("memory").cat("/bucket/results/there.csv")
        wanted = (tmp_path / "here.csv").read_bytes()
        wanted = wanted.replace(f"{folder}/images/".encode(), f"{there[0].rsplit('/', 1)[0]}/".encode())
        assert got == wanted and os.listdir(tmp_path) == ["here.csv"]

    def test_what_is_not_there_has_a_row_and_what_cannot_be_reached_stops(self, bucket, model, tmp_path, monkeypatch):
        assert predict._read(f"{bucket}/images/none.png") == "cannot be opened: it is not there"
        monkeypatch.setattr(predict, "MAX_BYTES", 5)
        assert predict._read(f"{bucket}/images/00.png") == "larger than 5 bytes"
        with pytest.raises(UserError, match="holds no images"):
            predict.find_images(f"{bucket}/none")
        system = type(fsspec.filesystem("memory"))
        monkeypatch.setattr(system, "_open", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no\nnetwork")))
        monkeypatch.setattr(predict, "MAX_BYTES", 5000)
        with pytest.raises(DiskError, match=r"00\.png cannot be reached: RuntimeError: no$"):
            predict._read(f"{bucket}/images/00.png")

    def test_a_list_reaches_neither_files_from_elsewhere_nor_elsewhere_from_here(self, bucket, tmp_path):
        system = fsspec.filesystem("memory")
        for path in ("/etc/x.png", "../x.png", "images/../../x.png", "file:///etc/x.png", "memory://other/x.png"):
            system.pipe("/bucket/bad.txt", f"images/00.png\n{path}\n".encode())
            with pytest.raises(UserError, match=r"bad\.txt line 2 .* is outside of the list's folder"):
                predict.find_images(f"{bucket}/bad.txt")
        (tmp_path / "list.txt").write_text(f"{bucket}/images/00.png\n")
        with pytest.raises(UserError, match=r"list\.txt line 1 .* is an address, which a list on this machine"):
            predict.find_images(str(tmp_path / "list.txt"))
