"""Predictions over Dask and of object storage: whoever is killed, the rows are those of one machine, byte for byte."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

from gsda_tf import storage
from gsda_tf.data.images import ImageGeometry
from gsda_tf.errors import DiskError, UserError
from gsda_tf.models.classifier import build_classifier
from gsda_tf.models.extractor import build_extractor
from gsda_tf.serving import predict
from gsda_tf.serving import shards as pieces
from gsda_tf.serving.export import export_model
from gsda_tf.serving.model import local_model
from gsda_tf.settings import ModelSettings
from tests.dask_cluster import DaskCluster
from tests.launch import commands

NAMES = ["cat", "dog"]
fsspec = pytest.importorskip("fsspec")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """An export, eleven images and two files that are none, and a list that names them often."""
    root = tmp_path_factory.mktemp("pieces")
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    for i in range(11):
        path = root / "images" / f"{i:02}.png"
        Image.fromarray(rng.integers(0, 256, (12, 14, 3), np.uint8)).save(path)
    (root / "images" / "empty.jpg").write_bytes(b"")
    (root / "images" / "text.jpg").write_text("no image")
    settings = ModelSettings(extractor="small_cnn", weights="none", bottleneck_units=4)
    networks = build_extractor(settings, 8), build_classifier(4, 2)
    export_model(*networks, NAMES, ImageGeometry(8, 8), str(root / "export"), {}, [path.read_bytes()])
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
        cluster.add_worker()
        told = commands.succeed(*flags)
        assert "more from an interrupted run" in told
    lines_here, lines_there = (path.read_bytes().splitlines(keepends=True) for path in (expected, output))
    assert [pair for pair in zip(lines_here, lines_there) if pair[0] != pair[1]][:5] == []
    assert len(lines_here) == len(lines_there)
    assert not {"rows.csv.parts", "rows.csv.partial"} & set(os.listdir(tmp_path))


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
    spread = pieces.Pieces(pool, (str(folder / "export"),)).answered
    paths = predict.find_images(str(folder / "list.txt"))[:500]
    return predict.predict(model, paths, str(output), 3, spread=spread, **options)


def test_finished_pieces_are_not_answered_again(folder, model, tmp_path, monkeypatch):
    """The client dies when the third piece has come; those that the workers have finished since are taken."""
    pool, original = _Here(), pieces.Pieces._finished

    def dies(first, *rest):
        if first == 2 * 3 * 16:
            raise KeyboardInterrupt
        yield from original(first, *rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pieces.Pieces, "_finished", staticmethod(dies))
        _predict(folder, model, tmp_path / "rows.jsonl", pool)
    finished = os.listdir(tmp_path / "rows.jsonl.parts")
    assert pool.called == 6 and len(finished) == 4
    (tmp_path / "rows.jsonl.parts" / sorted(finished)[1]).write_text("damaged")
    again = _Here()
    _predict(folder, model, tmp_path / "rows.jsonl", again)
    assert again.called == 11 - 2 - 3
    predict.predict(model, predict.find_images(str(folder / "list.txt"))[:500], str(tmp_path / "one.jsonl"), 3)
    assert (tmp_path / "rows.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["one.jsonl", "rows.jsonl"]


def test_pieces_of_another_run_are_not_taken(folder, model, tmp_path):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pieces.Pieces, "_finished", staticmethod(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)))
        _predict(folder, model, tmp_path / "rows.jsonl", _Here())
    pool = _Here()
    _predict(folder, model, tmp_path / "rows.jsonl", pool, features=True, restart=True)
    assert pool.called == 11 and not (tmp_path / "rows.jsonl.parts").exists()


def test_a_worker_with_another_model_is_refused(folder, model, tmp_path, monkeypatch):
    import dataclasses

    other = dataclasses.replace(model, identity="another")
    with pytest.raises(UserError, match=r"A worker found another model at .*export than the client"):
        _predict(folder, other, tmp_path / "rows.csv", _Here())
    assert not (tmp_path / "rows.csv").exists()


def test_no_rows_through_a_link(folder, model, tmp_path):
    (tmp_path / "rows.csv.parts").symlink_to(folder)
    with pytest.raises(UserError, match="parts is a symbolic link"):
        _predict(folder, model, tmp_path / "rows.csv", _Here())


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
        monkeypatch.setattr(system, "cat_file", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no\nnetwork")))
        monkeypatch.setattr(predict, "MAX_BYTES", 5000)
        with pytest.raises(DiskError, match=r"00\.png cannot be reached: RuntimeError: no$"):
            predict._read(f"{bucket}/images/00.png")

    def test_unknown_kinds_are_told(self):
        for address in ("nonsense://x/y", "s3://bucket/x" if not _has("s3fs") else "nonsense://"):
            with pytest.raises(UserError, match="cannot be reached"):
                storage.find(address, (".png",))


def _has(module) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None
