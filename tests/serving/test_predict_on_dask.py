"""Predictions over Dask: whoever is killed, the rows are those of one machine, byte for byte."""

import dataclasses
import os
import signal

import numpy as np
import pytest
from PIL import Image

from gsda_tf.errors import UserError
from gsda_tf.serving import predict
from gsda_tf.serving.model import local_model
from tests.dask_cluster import DaskCluster
from tests.launch import commands


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

    def lines():
        return sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("rows.csv.*.partial"))

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
        (partial,) = tmp_path.glob("rows.csv.*.partial")
        with open(partial, "ab") as file:
            file.write(b"images/torn")
        told = commands.succeed(*flags)
        assert "more from an interrupted run" in told
    lines_here, lines_there = (path.read_bytes().splitlines(keepends=True) for path in (expected, output))
    assert [pair for pair in zip(lines_here, lines_there) if pair[0] != pair[1]][:5] == []
    assert len(lines_here) == len(lines_there)
    assert not list(tmp_path.glob("*.partial"))


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


def _predict(folder, model, output, pool):
    paths = predict.find_images(str(folder / "list.txt"))[:130]
    return predict.predict(model, paths, str(output), 3, pool=pool)


def test_pieces_begin_where_they_always_do_and_a_row_is_asked_for_once(folder, model, tmp_path, monkeypatch):
    """The client dies when the third piece is in work; rows from before are kept, in whatever piece they end."""
    monkeypatch.setattr(predict, "_BATCHES", 4)
    pool, original = _Here(), predict.outcome

    def dies(future, failed):
        if pool.called == 7:
            raise KeyboardInterrupt
        return original(future, failed)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(predict, "outcome", dies)
        _predict(folder, model, tmp_path / "rows.jsonl", pool)
    (partial,) = tmp_path.glob("*.partial")
    lines = partial.read_bytes().splitlines(keepends=True)
    assert len(lines) == 2 * 12
    partial.write_bytes(b"".join(lines[:15]))
    again = _Here()
    assert _predict(folder, model, tmp_path / "rows.jsonl", again).resumed == 15
    assert again.called == 11 - 1
    predict.predict(model, predict.find_images(str(folder / "list.txt"))[:130], str(tmp_path / "one.jsonl"), 3)
    assert (tmp_path / "rows.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["one.jsonl", "rows.jsonl"]


def test_a_worker_with_another_model_or_without_the_folders_is_refused(folder, model, tmp_path, monkeypatch):
    other = dataclasses.replace(model, identity="another")
    with pytest.raises(UserError, match=r"A worker found another model at .*export/1 than the client"):
        _predict(folder, other, tmp_path / "rows.csv", _Here())
    assert not (tmp_path / "rows.csv").exists()
    monkeypatch.setattr(os, "getcwd", lambda: "/nowhere")
    with pytest.raises(UserError, match="A worker does not see /nowhere: all workers need"):
        _predict(folder, model, tmp_path / "others.csv", _Here())
