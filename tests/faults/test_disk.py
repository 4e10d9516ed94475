"""A full disk and folders that cannot be written: one clear message, and what was there before is whole.

Files are kept from growing by the kernel (RLIMIT_FSIZE), so the errors are real ones, of Python and of TensorFlow's
own writers. The slow test fills a real disk, a small tmpfs.
"""

import contextlib
import glob
import os
import subprocess
import time

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.data.features import FeatureStore
from gsda_tf.errors import DiskError
from gsda_tf.files import disk_errors
from gsda_tf.runs import folder as workdir
from gsda_tf.runs.checkpoints import Checkpoints
from gsda_tf.runs.contents import read_metrics, write_snapshot
from gsda_tf.runs.log import MetricsLog
from tests.faults.limited import files_up_to
from tests.launch import commands

_FULL = "^The disk refuses while .*: .*Make room, .*run the same command again"


def test_the_checkpoint_before_is_whole_and_the_next_one_can_be_written(tmp_path):
    variable = tf.Variable(tf.zeros([50_000]))
    stored = Checkpoints({"weights": [variable]}, str(tmp_path), keep=3)
    stored.save(1)
    variable.assign(tf.ones([50_000]))
    with files_up_to(100_000), pytest.raises(DiskError, match=_FULL):
        stored.save(2)
    left = os.listdir(tmp_path / "checkpoints")
    assert not [name for name in left if "temp" in name or "ckpt-2" in name]
    assert stored.restore() == 1 and variable.numpy().max() == 0
    variable.assign(tf.ones([50_000]))
    stored.save(2)
    variable.assign(tf.zeros([50_000]))
    assert stored.restore() == 2 and variable.numpy().min() == 1


def test_the_log_has_whole_lines_only(tmp_path):
    log = MetricsLog(str(tmp_path), 0)
    log.write(1, {"a": 1.0})
    with files_up_to(os.path.getsize(log.path) + 10), pytest.raises(DiskError, match=_FULL):
        log.write(2, {"a": 2.0, "b": 3.0})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "a": 1.0}\n'
    log.close()
    again = MetricsLog(str(tmp_path), 1)
    again.write(2, {"a": 2.0})
    again.close()
    assert [line["step"] for line in read_metrics(str(tmp_path))] == [1, 2]


def test_tensorboard_files_too(tmp_path):
    log = MetricsLog(str(tmp_path), 0)
    with files_up_to(20_000), pytest.raises(DiskError, match=r"^The disk refuses while .*(tensorboard|metrics)"):
        for step in range(500):
            log.write(step, {"a": 1.0})
        log.close()
    with contextlib.suppress(DiskError):
        log.close()


def test_cached_features(tmp_path):
    store = FeatureStore(str(tmp_path / "features"))
    digests = np.asarray([b"a", b"b"], "S32")
    with files_up_to(1000), pytest.raises(DiskError, match=_FULL):
        store.add(digests, np.zeros((2, 1000), np.float32))
    assert os.listdir(tmp_path / "features") == []
    store.add(digests, np.ones((2, 1000), np.float32))
    assert np.min(store.find(digests)[0]) == 1


def test_the_snapshot_for_the_report(tmp_path):
    write_snapshot(str(tmp_path), {"a": np.zeros(3)})
    noise = np.random.default_rng(0).random(5000)
    with files_up_to(2000), pytest.raises(DiskError, match=_FULL):
        write_snapshot(str(tmp_path), {"a": noise})
    with np.load(tmp_path / "evaluation.npz") as file:
        assert file["a"].shape == (3,)
    assert os.listdir(tmp_path) == ["evaluation.npz"]


def test_an_export(tmp_path):
    module = tf.Module()
    module.weights = tf.Variable(tf.zeros([50_000]))
    with files_up_to(100_000), pytest.raises(DiskError, match=_FULL), disk_errors("writing an export to x"):
        tf.saved_model.save(module, str(tmp_path / "model"))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    refused = pytest.raises(
        DiskError, match=r"The disk refuses while writing to --workdir=.*: Not a directory\. .*choose a folder"
    )
    with refused, workdir.RunFolder(str(tmp_path / "file" / "run")).held():
        pass


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["settings.json", "checkpoints/ckpt-10.index", "export/.writing-*"])
def test_a_real_full_disk(moment, tmp_path):
    """Filled to the last byte at some moment of a run; the same command goes on when there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs to be root")
    try:
        flags = [*commands.TINY, f"--workdir={disk / 'run'}", "--report=false"]
        whole = [*commands.TINY, f"--workdir={tmp_path / 'whole'}", "--report=false"]
        commands.succeed("train", *whole)
        process = commands.start("train", *flags)
        while process.poll() is None and not glob.glob(str(disk / "run" / moment)):
            time.sleep(0.002)
        with open(disk / "filler", "wb", buffering=0) as file:
            for size in (1 << 16, 1):
                while True:
                    try:
                        if file.write(bytes(size)) < size:
                            break
                    except OSError:
                        break
        _, told = process.communicate()
        assert process.returncode == 74, told
        errors = [line for line in told.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1 and "The disk refuses while writing" in errors[0] and "Traceback" not in told
        os.remove(disk / "filler")
        commands.succeed("train", *flags)
        summaries = [commands.summary(tmp_path / "whole"), commands.summary(disk / "run")]
        assert summaries[0]["weights_sha256"] == summaries[1]["weights_sha256"]
        logs = [read_metrics(str(each)) for each in (tmp_path / "whole", disk / "run")]
        assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]]
    finally:
        subprocess.run(["umount", "-l", str(disk)])
