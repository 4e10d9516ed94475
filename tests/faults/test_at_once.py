"""Two commands at once on one cache, a disk that is full below them, and a clock that goes back."""

import os
import signal
import time
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes
from gsda_tf.data.checking import content_digests
from gsda_tf.data.domain import DomainData
from gsda_tf.data.features import FeatureStore
from gsda_tf.data.records import ArrayRecords
from gsda_tf.errors import DiskError
from gsda_tf.files import write_atomically
from gsda_tf.reporting import report
from gsda_tf.serving.export import export_model
from gsda_tf.sweeps import sweep
from gsda_tf.training import frozen
from gsda_tf.training.run import train
from gsda_tf.workers import LocalPool
from tests.faults import fake_sweep
from tests.faults.limited import files_up_to
from tests.methods.build import SMALL, task
from tests.processes import Process
from tests.reporting import runs

_IMAGES = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), np.uint8)


def test_of_two_commands_on_a_feature_cache_one_computes(tmp_path, capsys):
    """Locks keep apart open files, in one process too."""
    domain = DomainData("x", ArrayRecords(_IMAGES, "x"), np.zeros(9, np.int32))
    embedded = []

    def embed(part, told):
        embedded.append(len(part))
        time.sleep(0.3)
        return [np.full((len(part), 2), 7, np.float32)]

    def get(_):
        return frozen._features(domain, content_digests(domain), FeatureStore(str(tmp_path)), embed, 9)

    with futures.ThreadPoolExecutor(2) as pool:
        both = list(pool.map(get, range(2)))
    np.testing.assert_array_equal(both[0], both[1])
    assert embedded == [9] and "Waiting for another process that computes the same features" in capsys.readouterr().err


def test_six_processes_on_a_feature_store_of_which_four_are_killed(tmp_path):
    """Each in the middle of its work, or of a file; whoever waits goes on from what is there."""

    def start(*moments: tuple[str, int]) -> list[Process]:
        user = "tests.faults.feature_store_user"
        return [Process(user, [str(tmp_path), moment, str(files)]) for moment, files in moments]

    killed = start(("computing", 2), ("writing", 4), ("computing", 7), ("writing", 9))
    said = [each.communicate(240) for each in killed]
    assert [each.returncode for each in killed] == [-signal.SIGKILL] * 4, said
    last = start(("never", 0), ("never", 0))
    said = [each.communicate(240) for each in last]
    assert [each.returncode for each in last] == [0, 0], said
    files = [name for name in os.listdir(tmp_path) if name != ".lock"]
    assert len(files) == 12 and all(name.endswith(".npy") for name in files), "nothing is left over"
    assert sum(int(out) for out, _ in said) <= 24 - 2 * 9, "what the killed had written was not computed again"


def test_a_report_on_a_full_disk(tmp_path):
    workdir = runs.write(tmp_path, "new")
    (tmp_path / "report.html").write_text("before")
    with files_up_to(1000), pytest.raises(DiskError, match=r"^The disk refuses while writing .*report"):
        report.write_report(workdir)
    assert (tmp_path / "report.html").read_text() == "before"


def test_an_export_on_a_full_disk(tmp_path):
    from gsda_tf.data.images import ImageGeometry
    from gsda_tf.models.classifier import build_classifier
    from gsda_tf.models.extractor import build_extractor
    from gsda_tf.settings import ModelSettings

    settings = ModelSettings(extractor="small_cnn", weights="none", bottleneck_units=4)
    networks = build_extractor(settings, 8), build_classifier(4, 2)
    sample = tf.io.encode_png(_IMAGES[0]).numpy()
    with files_up_to(20_000), pytest.raises(DiskError, match=r"^The disk refuses while writing an export to"):
        export_model(*networks, ("a", "b"), ImageGeometry(8, 8), str(tmp_path), {}, [sample])
    assert os.listdir(tmp_path) == []


def test_a_sweep_whose_table_does_not_fit_ends_its_runs(tmp_path, monkeypatch):
    """They have written checkpoints, and go on when there is room."""
    monkeypatch.setattr(sweep, "TRAIN", "tests.faults.fake_train")
    short, long = fake_sweep.plan(str(tmp_path), 5, [0])[0], fake_sweep.plan(str(tmp_path), 20, [1], hold=True)[0]

    def table():
        with files_up_to(10):
            write_atomically(str(tmp_path / "results.csv"), "x" * 100)

    with LocalPool(2) as pool, pytest.raises(DiskError, match=r"^The disk refuses while writing .*results"):
        sweep.execute([short, long], pool, str(tmp_path), table)
    assert short.summary() is not None and not long.at_work() and long.summary() is None


def test_a_clock_that_goes_back(tmp_path, monkeypatch):
    """An hour with each look at it."""
    now = [2e9]

    def back():
        now[0] -= 3600
        return now[0]

    settings = recipes.written(
        {
            **SMALL, "method": "source_only", "steps": 6, "checkpoint_steps": 2, "report_steps": 2, "evaluate_steps": 3,
            "workdir": str(tmp_path), "export": False, "report": False, "keep_checkpoints": 2,
        }
    )  # fmt: skip
    monkeypatch.setattr(time, "time", back)
    summary = train(settings, data=task())
    assert summary["wall_seconds"] > 0 and summary["images_per_second"] > 0
    kept = {name.split(".")[0] for name in os.listdir(tmp_path / "checkpoints") if name.startswith("ckpt")}
    assert kept == {"ckpt-4", "ckpt-6"}
