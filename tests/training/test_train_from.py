"""`--train_from`: training on what the frozen part of a backbone makes of the images is training on the images."""

import contextlib
import os
import shutil
import time
import types
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes
from gsda_tf.data import features
from gsda_tf.data import records as data_records
from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.checking import content_digests
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.features import FeatureRecords
from gsda_tf.data.records import ArrayRecords, FileRecords
from gsda_tf.errors import DiskError, UserError
from gsda_tf.models import backbones
from gsda_tf.runs import checkpoints
from gsda_tf.training import frozen
from gsda_tf.training.experiment import Experiment, restore
from tests import rounding
from tests.faults import inprocess

STRATEGY = tf.distribute.get_strategy()
TINY = {
    "extractor": "normalized", "weights": "none", "image_size": 8, "resize_size": 10, "bottleneck_units": 6,
    "discriminator_units": (5,), "num_groups": (2,), "steps": 5, "source_batch": 4, "target_batch": 4,
    "train_from": "second", "evaluation_batch": 3,
}  # fmt: skip


def _normalized(size):
    """Two convolutions with batch norm each, and no bias before it, whose gradient would be nothing but rounding."""
    parts = [keras.Input([size, size, 3])]
    for name, filters in (("first", 6), ("second", 8)):
        parts.append(keras.layers.Conv2D(filters, 3, use_bias=False, name=name))
        parts += [keras.layers.BatchNormalization(), keras.layers.ReLU()]
    model = keras.Sequential([*parts, keras.layers.Flatten()], name="normalized")
    return backbones.Backbone(model, backbones.PREPROCESSING["minus_one_to_one"])


@pytest.fixture(autouse=True)
def extractor(monkeypatch):
    for module in (backbones, rounding.double("models.backbones")):
        monkeypatch.setitem(module.OWN, "normalized", _normalized)


@pytest.fixture
def data():
    images = np.random.default_rng(0).integers(0, 256, (14, 12, 12, 3), np.uint8)
    labels = np.arange(7, dtype=np.int32) % 2
    halves = [DomainData(name, ArrayRecords(part, name), labels) for name, part in zip("ab", (images[:7], images[7:]))]
    return TaskData("t", *halves, ("p", "q"))


def _settings(folder, **changes):
    return recipes.written({**TINY, "feature_cache_dir": str(folder), **changes})


def _step(experiment, inputs, seed=0):
    """All that a run holds after one step."""
    batches = TrainingBatches(inputs, experiment.settings.data, seed)
    experiment.training_step(next(iter(batches.dataset(0, 1))), tf.constant(0, tf.int64))
    return {name: [v.numpy() for v in group] for name, group in experiment.state().items() if name != "pool"}


def test_a_step_on_kept_activations_is_the_step_on_the_images(tmp_path, data):
    """The same crops of the same images, in float64: the front run before, or in the step."""
    with rounding.in_double():
        values = {**TINY, "feature_cache_dir": str(tmp_path)}
        settings = rounding.double("recipes").written(values)
        build = rounding.double("training.experiment").Experiment
        kept = build(settings, data, STRATEGY)
        before = [v.numpy() for v in kept.extractor.frozen.variables]
        ours = _step(kept, kept.inputs)
        assert kept.input_spec.shape == (6, 6, 6) and kept.input_spec.dtype == tf.float64

        crop = rounding.double("training.inference").Sharded(tf.identity, settings.data, STRATEGY)

        def pictures(domain):
            (crops,) = crop(domain)
            return DomainData(domain.name, FeatureRecords(crops, domain.records), domain.labels)

        halves = [pictures(half) for half in (data.source, data.target)]
        images = TaskData(data.name, *halves, data.class_names)
        assert halves[0].records.spec().shape == (8, 8, 3)
        theirs = _step(build(settings, data, STRATEGY), images)
        others = _step(build(settings, data, STRATEGY), images, seed=1)
        for name, group in ours.items():
            assert rounding.distance(group, theirs[name]) < rounding.STEP, name
        assert max(rounding.distance(a, b) for a, b in zip(ours.values(), others.values())) > 1000 * rounding.STEP
        assert rounding.distance(before, [v.numpy() for v in kept.extractor.frozen.variables]) == 0


def test_what_is_trained_and_what_is_held(tmp_path, data):
    experiment = Experiment(_settings(tmp_path), data, STRATEGY)
    whole = Experiment(_settings(tmp_path, train_from=""), data, STRATEGY)
    # Names, order and so checkpoints and digests are those of the whole network.
    assert [v.shape for v in experiment.state()["extractor"]] == [v.shape for v in whole.state()["extractor"]]
    assert experiment.weights_sha256() == whole.weights_sha256()
    before = [np.asarray(v) for v in experiment.extractor.backbone.variables]
    _step(experiment, experiment.inputs)
    moved = [not np.array_equal(a, np.asarray(b)) for a, b in zip(before, experiment.extractor.backbone.variables)]
    front = len(experiment.extractor.frozen.variables)
    assert moved == [False] * front + [True] * (len(moved) - front) and front == len(moved) - front == 5
    rates = {name: optimizer._rate for name, optimizer in experiment.training_step.optimizers.items()}
    assert rates["backbone"] == experiment.settings.optimization.backbone_rate


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_low_precision_sees_what_it_would_compute(tmp_path, data, precision):
    """What comes out of the front is of half precision already: keeping it as float32 loses nothing."""
    experiment = Experiment(_settings(tmp_path, precision=precision), data, STRATEGY)
    kept = experiment.inputs.source.records.samples(np.arange(7))
    again = tf.cast(tf.cast(kept, precision.removeprefix("mixed_")), tf.float32)
    np.testing.assert_array_equal(kept, again)
    state = _step(experiment, experiment.inputs)
    assert all(np.isfinite(value).all() for group in state.values() for value in group)


def test_no_room_on_the_disk_is_told_before_anything_is_computed(tmp_path, data, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=1000))
    monkeypatch.setattr(frozen.Sharded, "__call__", lambda *_: pytest.fail("computed"))
    experiment = Experiment(_settings(tmp_path), data, STRATEGY)
    with pytest.raises(DiskError, match=r"room for 1 kB, but .* 12.1 kB for the centre crop of 14 im"):
        _ = experiment.inputs


def test_what_is_interrupted_goes_on_and_lies_in_many_files(tmp_path, data, monkeypatch):
    every = np.arange(7)
    whole = Experiment(_settings(tmp_path / "whole"), data, STRATEGY).inputs.source.records.samples(every)
    monkeypatch.setattr(frozen, "_BYTES_A_FILE", 2 * 6 * 6 * 6 * 4)
    original, seen = frozen.Sharded.__call__, []

    def embed(self, domain, *rest):
        if len(seen) == 2:
            seen.append(0)
            raise KeyboardInterrupt
        seen.append(len(domain))
        return original(self, domain, *rest)

    monkeypatch.setattr(frozen.Sharded, "__call__", embed)
    with pytest.raises(KeyboardInterrupt):
        _ = Experiment(_settings(tmp_path / "cut"), data, STRATEGY).inputs
    inputs = Experiment(_settings(tmp_path / "cut"), data, STRATEGY).inputs
    assert seen == [2, 2, 0, 2, 1, 2, 2, 2, 1]
    records = inputs.source.records
    np.testing.assert_array_equal(records.samples(every), whole)
    chosen = np.array([6, 0, 3])
    np.testing.assert_array_equal(inputs.source.chosen(chosen).records.samples(np.arange(3)), whole[chosen])
    assert all(isinstance(part, np.memmap) for part in records._memory.array._parts)


def test_a_file_is_read_through_once_and_again_if_it_changed(tmp_path, monkeypatch):
    digests, values = np.asarray([b"a", b"b"], "S32"), np.ones((2, 3000), np.float32)
    store = features.FeatureStore(str(tmp_path))
    store.add(digests, values)
    (path,) = tmp_path.glob("*.npy")

    def through():
        """How many rows were read to see whether they are sound."""
        seen, original = [], zlib.crc32
        with monkeypatch.context() as patch:
            patch.setattr(zlib, "crc32", lambda row: seen.append(1) or original(row))
            found, missing = store.find(digests)
        assert missing.all() or np.array_equal(found, values)
        return len(seen)

    assert through() == 2 and through() == 0
    content, before = bytearray(path.read_bytes()), path.stat()
    content[-5] ^= 1
    _replace(path, bytes(content), before.st_mtime_ns)
    assert store.find(digests)[1].all()
    store.add(digests, values)
    assert through() == 2


def _replace(path, content: bytes, changed: int = 0) -> None:
    """Another file under the same name, of the size and the time of change that archives give."""
    aside = path.with_suffix(".new")
    aside.write_bytes(content)
    os.utime(aside, ns=(changed, changed))
    os.replace(aside, path)


def test_files_of_fixed_dates_are_known_by_what_the_file_system_says(tmp_path, monkeypatch):
    monkeypatch.setattr(data_records, "SETTLED", 0.0)
    path = tmp_path / "a.png"
    domain = DomainData("x", FileRecords([str(path)]), np.zeros(1, np.int32))
    digests = []
    for shade in (0, 1):
        _replace(path, tf.io.encode_png(np.full((4, 4, 3), shade, np.uint8)).numpy())
        digests.append(content_digests(domain, str(tmp_path / "kept"))[0])
    assert digests[0] != digests[1]


def test_files_are_read_once_for_their_digests(tmp_path, monkeypatch):
    monkeypatch.setattr(data_records, "SETTLED", 0.0)
    paths = [str(tmp_path / f"{name}.png") for name in "abc"]
    for shade, path in enumerate(paths):
        tf.io.write_file(path, tf.io.encode_png(np.full((4, 4, 3), shade, np.uint8)))
    domain = DomainData("x", FileRecords(paths), np.zeros(3, np.int32))
    first = content_digests(domain, str(tmp_path / "kept"))
    np.testing.assert_array_equal(first, content_digests(domain))
    read = []
    original = FileRecords.stored
    monkeypatch.setattr(FileRecords, "stored", lambda self, index: read.append(index) or original(self, index))
    np.testing.assert_array_equal(content_digests(domain, str(tmp_path / "kept")), first)
    assert not read
    tf.io.write_file(paths[1], tf.io.encode_png(np.full((4, 4, 3), 200, np.uint8)))
    again = content_digests(domain, str(tmp_path / "kept"))
    assert (again != first).tolist() == [False, True, False] and read == [1]


def test_what_has_just_changed_is_not_trusted(tmp_path):
    path = str(tmp_path / "a.png")
    domain = DomainData("x", FileRecords([path]), np.zeros(1, np.int32))
    digests = []
    for shade in (0, 1):  # of one size, and by the clock of some disks of one time
        tf.io.write_file(path, tf.io.encode_png(np.full((4, 4, 3), shade, np.uint8)))
        os.utime(path, ns=(time.time_ns(), time.time_ns() // 10**9 * 10**9))
        digests.append(content_digests(domain, str(tmp_path / "kept"))[0])
    assert digests[0] != digests[1]


def test_a_run_is_held_and_scored_whole_and_goes_on(tmp_path):
    """By its command: stopped and gone on with, it ends in the weights of the run that was not; images and kept
    activations have the same scores."""
    flags = [
        *(flag for flag in inprocess.SMALL if not flag.startswith("--num_groups")), "--method=mcc",
        "--task=digits/Fo_Ha", "--train_from=last", f"--feature_cache_dir={tmp_path / 'features'}",
        f"--data_dir={tmp_path}", "--checkpoint_steps=2", "--steps=4",
    ]  # fmt: skip
    with _stopped_after(2):
        assert inprocess.command("train", *flags, f"--workdir={tmp_path / 'resumed'}")[0] == 2
    for name in ("straight", "resumed"):
        said = inprocess.succeed("train", *flags, f"--workdir={tmp_path / name}")
        assert ("Going on from step 2" in said) == (name == "resumed")
    experiments = [restore(str(tmp_path / name))[0] for name in ("straight", "resumed")]
    assert experiments[0].weights_sha256() == experiments[1].weights_sha256()
    experiment = experiments[0]
    images, kept = (experiment.inference(each.target) for each in (experiment.data, experiment.inputs))
    assert rounding.distance(images.features, kept.features) < rounding.FORWARD


@contextlib.contextmanager
def _stopped_after(step):
    original = checkpoints.Checkpoints.save

    def save(self, at, **spared):
        original(self, at, **spared)
        if at == step:
            raise UserError("stopped")

    checkpoints.Checkpoints.save = save
    try:
        yield
    finally:
        checkpoints.Checkpoints.save = original
