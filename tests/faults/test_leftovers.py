"""What killed processes leave goes, what others write stays; nothing is written through a link."""

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gsda_tf.data.features import FeatureStore
from gsda_tf.data.records import ArrayRecords
from gsda_tf.datasets.preparing import prepare
from gsda_tf.errors import DiskError, UserError
from gsda_tf.files import UNFINISHED, locked, one_at_a_time, remove_unfinished, replacing, write_atomically
from gsda_tf.runs import folder as workdir
from gsda_tf.serving import rows

_DIGESTS = np.asarray([b"a", b"b"], "S32")
_IMAGES = ArrayRecords(np.zeros((1, 1, 1, 3), np.uint8), "x")
_WRITER = """
import sys, time
from gsda_tf.files import replacing
with replacing(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(100)
"""


def _unfinished(folder) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(UNFINISHED) and name != ".writing-notes"]


@pytest.fixture
def killed_writer(tmp_path, repository):
    """A folder in which one process writes and another was killed while it did."""
    folder = tmp_path / "ab"
    writers = []
    for name in ("killed", "living"):
        command = [sys.executable, "-c", _WRITER, str(folder / name)]
        writers.append(subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE))
        writers[-1].stdout.readline()
    for name in ("mine.txt", ".writing-notes"):
        (folder / name).write_text("")
    writers[0].send_signal(signal.SIGKILL)
    writers[0].wait()
    yield folder
    writers[1].kill()
    for writer in writers:
        writer.communicate()


_OPENERS = {
    "the folder of a run": remove_unfinished,
    "the feature cache": lambda folder: FeatureStore(str(folder)),
    "prepared data": lambda folder: prepare.kept_beside(
        str(folder / "labels.npy"), np.zeros(2), lambda: [np.ones(2)], "labels"
    ),
}


def test_what_killed_writers_leave_is_removed_and_nothing_else(killed_writer):
    for what, opened in _OPENERS.items():
        (killed_writer / f"{UNFINISHED}{'a' * 16}").write_text(
            ""
        )  # as a killed process leaves it: nobody has locked it
        assert len(_unfinished(killed_writer)) in (2, 3)
        opened(killed_writer)
        assert len(_unfinished(killed_writer)) == 1, what
    assert sorted(set(os.listdir(killed_writer)) - set(_unfinished(killed_writer))) == [
        ".writing-notes",
        "labels.npy",
        "mine.txt",
    ]


def test_who_writes_while_another_tidies_starts_again(tmp_path, monkeypatch):
    """The moment between making a file and locking it."""
    import fcntl

    original, tidied = fcntl.flock, []

    def flock(handle, kind):
        if not tidied:
            tidied.append(1)
            remove_unfinished(str(tmp_path))
        original(handle, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    write_atomically(str(tmp_path / "x"), "whole")
    assert tidied and os.listdir(tmp_path) == ["x"] and (tmp_path / "x").read_text() == "whole"


@pytest.mark.parametrize("mask, mode", [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_the_umask_is_kept(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_atomically(str(tmp_path / "text"), "x")
        FeatureStore(str(tmp_path)).add(_DIGESTS, np.zeros((2, 3), np.float32))
        with locked(str(tmp_path / ".lock")), replacing(str(tmp_path / "rows.csv"), "w") as file:
            file.write("x")
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in os.listdir(tmp_path)}
    assert len(modes) == 4 and set(modes.values()) == {mode}, modes


class TestLinks:
    """Each of these emptied, replaced or removed what the link led to."""

    @pytest.fixture
    def precious(self, tmp_path):
        (tmp_path / "precious").write_text("precious")
        yield tmp_path / "precious"
        assert (tmp_path / "precious").read_text() == "precious"

    def test_locks(self, tmp_path, precious):
        (tmp_path / ".lock").symlink_to(precious)
        for made in (lambda: workdir.RunFolder(str(tmp_path)).held(), lambda: one_at_a_time(str(tmp_path), "works")):
            with pytest.raises(UserError, match=r"\.lock is a symbolic link.*: remove the link"), made():
                pass

    def test_a_lock_that_leads_nowhere_makes_nothing_there(self, tmp_path):
        (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UserError, match="is a symbolic link"), workdir.RunFolder(str(tmp_path)).held():
            pass
        assert not (tmp_path / "elsewhere").exists()

    def test_a_lock_is_not_emptied(self, tmp_path):
        (tmp_path / ".lock").write_text("whose is this?")
        with workdir.RunFolder(str(tmp_path)).held():
            pass
        assert (tmp_path / ".lock").read_text() == "whose is this?"

    def test_what_is_written(self, tmp_path, precious):
        (tmp_path / "summary.json").symlink_to(precious)
        write_atomically(str(tmp_path / "summary.json"), "new")
        assert (tmp_path / "summary.json").read_text() == "new"

    def test_partial_rows(self, tmp_path, precious):
        partial = _partial(tmp_path / "p.csv")
        partial.unlink()
        partial.symlink_to(precious)
        with pytest.raises(UserError, match="is a symbolic link"), _rows(tmp_path / "p.csv"):
            pass

    def test_names_beside_the_output(self, tmp_path, precious):
        (tmp_path / "q.csv.partial").symlink_to(precious)
        with _rows(tmp_path / "q.csv") as (file, _):
            file.write(_ROW)
        assert (tmp_path / "q.csv.partial").is_symlink() and (tmp_path / "q.csv").read_text().endswith("a.png,x\n")

    @pytest.mark.parametrize("name", ["checkpoints", "export", "tensorboard"])
    def test_overwrite_removes_all_or_nothing(self, tmp_path, name):
        run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
        for folder in (run, elsewhere):
            folder.mkdir()
        (elsewhere / "ckpt-1.index").write_text("precious")
        (run / name).symlink_to(elsewhere)
        (run / "summary.json").write_text("{}")
        with pytest.raises(UserError, match=f"{name} is a symbolic link to .*elsewhere.*remove the link"):
            workdir.clear(str(run))
        assert (run / "summary.json").exists() and (elsewhere / "ckpt-1.index").exists()


_HEAD = ("path", "label")
_ROW = rows.line("a.csv", _HEAD, ("a.png", "x"))


def _rows(output: Path):
    return rows.written(str(output), _HEAD, "m", ["a.png"])


def _partial(output: Path) -> Path:
    """What an interrupted run of these rows leaves."""
    with contextlib.suppress(KeyboardInterrupt), _rows(output):
        raise KeyboardInterrupt
    (partial,) = output.parent.glob(f"{output.name}.*.partial")
    return partial


@pytest.mark.parametrize("left", ["", "pa", "path,label"])
def test_what_a_kill_left_of_the_first_line_is_written_again(tmp_path, left):
    _partial(tmp_path / "p.csv").write_text(left)
    with _rows(tmp_path / "p.csv") as (file, done):
        assert done == 0
        file.write(_ROW)
    assert (tmp_path / "p.csv").read_bytes() == b"path,label\r\na.png,x\r\n"
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


class TestFeatures:
    """Only what the store itself wrote is read, and nothing in its folder is removed."""

    @pytest.fixture
    def store(self, tmp_path):
        store = FeatureStore(str(tmp_path))
        store.add(_DIGESTS, np.ones((2, 3), np.float32))
        return store

    @pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.ENFILE, errno.ESTALE, errno.ENOMEM])
    def test_what_cannot_be_read_stays(self, store, tmp_path, monkeypatch, code):
        before = os.listdir(tmp_path)

        def broken(*_, **__):
            raise OSError(code, os.strerror(code))

        with (
            monkeypatch.context() as patch,
            pytest.raises(DiskError, match=f"be read: {os.strerror(code)}. Run"),
        ):
            patch.setattr("builtins.open", broken)
            store.find(_DIGESTS)
        assert os.listdir(tmp_path) == before and not store.find(_DIGESTS)[1].any()

    def test_another_users_file_is_passed_over(self, store, tmp_path, monkeypatch, capsys):
        before = os.listdir(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr("builtins.open", lambda *_, **__: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no")))
            assert store.find(_DIGESTS)[1].all()
        assert "passed over that may not be read" in capsys.readouterr().out and os.listdir(tmp_path) == before

    @pytest.mark.parametrize("damage", ["truncated", "one byte"])
    def test_what_is_damaged_is_made_anew(self, store, tmp_path, damage, capsys):
        (path,) = tmp_path.iterdir()
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(bytes(content[:-20]) if damage == "truncated" else bytes(content))
        assert store.find(_DIGESTS)[1].all() and "Features passed over" in capsys.readouterr().out
        store.add(_DIGESTS, np.ones((2, 3), np.float32))
        assert not store.find(_DIGESTS)[1].any() and list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize(
        "kind", ["empty", "text", "array", "archive", "pickle", "link", "pipe", "sparse", "other name"]
    )
    def test_what_is_none_of_its_own_stays(self, store, tmp_path, kind, capsys):
        """A stranger's files, under names such as the store gives and under others."""
        (own,) = tmp_path.iterdir()
        path = tmp_path / (f"{'a' * 32}.npy" if kind != "other name" else "mine.npz")
        if kind == "link":
            np.save(tmp_path / "precious.npy", np.zeros(3))
            path.symlink_to(tmp_path / "precious.npy")
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            with open(path, "wb") as file:
                if kind == "array":
                    np.save(file, np.zeros((2, 3), np.float32))
                elif kind in ("archive", "other name"):
                    np.savez(file, digests=_DIGESTS, features=np.ones((2, 3), np.float32))
                elif kind == "sparse":  # as the store writes them, and a terabyte of zeros
                    dtype = np.dtype([("digest", "S32"), ("sum", "<u4"), ("features", "<f4", (1, 3))])
                    header = {"descr": dtype.descr, "fortran_order": False, "shape": (2**40 // dtype.itemsize,)}
                    np.lib.format.write_array_header_1_0(file, header)
                    file.truncate(file.tell() + 2**40 // dtype.itemsize * dtype.itemsize)
                elif kind == "pickle":
                    np.save(file, np.asarray([{}], object), allow_pickle=True)
                else:
                    file.write(b"" if kind == "empty" else b"my notes")
        before = sorted(os.listdir(tmp_path))
        assert not store.find(_DIGESTS)[1].any()
        assert sorted(os.listdir(tmp_path)) == before and own.exists()
        assert ("passed over" in capsys.readouterr().out) == (kind != "other name")

    def test_a_linked_folder_is_refused_and_nothing_in_it_is_touched(self, tmp_path):
        precious, link = tmp_path / "precious", tmp_path / "fc"
        precious.mkdir()
        for name in ("a.npz", f"{'a' * 32}.npy"):
            (precious / name).write_bytes(b"somebody's")
        link.symlink_to(precious)
        with pytest.raises(UserError, match="is a symbolic link"):
            FeatureStore(str(link))
        assert sorted(os.listdir(precious)) == ["a.npz", f"{'a' * 32}.npy"]
