"""From the user's copy to a domain that is read by index."""

from __future__ import annotations

import concurrent.futures
import json
import os
import shutil
import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from gsda_tf.datasets.preparing import prepare
from gsda_tf.datasets.visda2017 import visda2017_dataset_builder as visda2017
from gsda_tf.errors import DataError, UserError
from gsda_tf.files import one_at_a_time
from gsda_tf.settings import DataSettings
from tests.datasets import fakes

SMALL = fakes.small(visda2017.IMAGE_SET, images=3)
FOLDERS = {"train": "train", "validation": "validation"}


@pytest.fixture
def settings(tmp_path, monkeypatch) -> DataSettings:
    """A small VisDA-2017 lies in the manual folder."""
    monkeypatch.setattr(visda2017.Builder, "IMAGE_SET", SMALL)
    fakes.write_folder(tmp_path / "manual", fakes.members(SMALL, FOLDERS))
    return DataSettings(manual_dir=str(tmp_path / "manual"), data_dir=str(tmp_path / "data"))


def _bytes(domain, order):
    indices = tf.data.Dataset.from_tensor_slices(np.asarray(order, np.int64))
    return list(indices.map(domain.records.load).as_numpy_iterator())


def _expected(split):
    return [data for path, data in fakes.members(SMALL, FOLDERS) if path.startswith(split + "/")]


def test_images_are_read_by_index(settings):
    for split in FOLDERS:
        domain = prepare.load_domain("visda2017", split, "name", settings)
        expected = _expected(split)
        np.testing.assert_array_equal(domain.labels, np.repeat(np.arange(12), SMALL.counts[split]))
        assert domain.labels.dtype == np.int32
        order = np.random.default_rng(0).permutation(len(expected))
        assert _bytes(domain, order) == [expected[i] for i in order]
    assert domain.name == "name"
    assert "frame_0002.jpg" in domain.records.name(2)


def test_labels_are_those_of_the_records(settings):
    builder = prepare.prepared_builder("visda2017", settings)
    source = builder.as_data_source("validation", decoders={"image": tfds.decode.SkipDecoding()})
    domain = prepare.load_domain("visda2017", "validation", "real", settings)
    assert [record["label"] for record in source] == domain.labels.tolist()


def test_is_prepared_once_and_needs_no_manual_dir_then(settings):
    first = prepare.load_domain("visda2017", "train", "train", settings)
    shutil.rmtree(settings.manual_dir)
    for manual_dir in (settings.manual_dir, ""):
        again = prepare.load_domain(
            "visda2017", "train", "train", DataSettings(manual_dir=manual_dir, data_dir=settings.data_dir)
        )
        np.testing.assert_array_equal(again.labels, first.labels)


def test_folder_and_archive_prepare_the_same_bytes(settings, tmp_path):
    prepare.prepared_builder("visda2017", settings)
    (tmp_path / "packed").mkdir()
    fakes.write_archive(tmp_path / "packed" / "visda.tar.gz", list(fakes.members(SMALL, FOLDERS))[::-1])
    packed = DataSettings(manual_dir=str(tmp_path / "packed"), data_dir=str(tmp_path / "data2"))
    prepare.prepared_builder("visda2017", packed)
    for split in FOLDERS:
        domains = [prepare.load_domain("visda2017", split, split, s) for s in (settings, packed)]
        order = range(len(domains[0]))
        assert _bytes(domains[0], order) == _bytes(domains[1], order)


def test_where_prepared_data_came_from_is_said(settings, capsys):
    """The copy of the user may have changed since."""
    prepare.prepared_builder("visda2017", settings)
    prepare._tell_origin.cache_clear()
    capsys.readouterr()
    builder = prepare.prepared_builder("visda2017", settings)
    said = capsys.readouterr().err
    assert (
        said.startswith(f"visda2017 is as it was prepared from {settings.manual_dir}") and str(builder.data_dir) in said
    )
    prepare.prepared_builder("visda2017", DataSettings(data_dir=settings.data_dir))
    assert capsys.readouterr().err == ""


def test_nothing_is_left_of_a_failure(settings):
    os.remove(os.path.join(settings.manual_dir, "train", "bus", "frame_0001.jpg"))
    with pytest.raises(DataError, match="bus 2 of 3"):
        prepare.prepared_builder("visda2017", settings)
    left = [name for _, _, names in os.walk(settings.data_dir) for name in names]
    assert left == [".lock"]


def test_what_a_killed_process_left_is_removed(settings):
    builder = prepare._builder("visda2017", settings.data_dir)
    unfinished = f"{builder.data_dir}.incompleteAB12CD"
    os.makedirs(unfinished)
    with open(os.path.join(unfinished, "visda2017-train.array_record-00000-of-00001"), "wb") as file:
        file.write(b"half of it")
    prepare.prepared_builder("visda2017", settings)
    assert sorted(os.listdir(os.path.dirname(builder.data_dir))) == [".lock", os.path.basename(builder.data_dir)]


def test_of_two_processes_one_prepares_and_the_other_waits(settings, monkeypatch, capsys):
    prepared = []

    def count(builder, *args, **kwargs):
        prepared.append(builder.name)
        return original(builder, *args, **kwargs)

    original = prepare._prepare
    monkeypatch.setattr(prepare, "_prepare", count)
    builder = prepare._builder("visda2017", settings.data_dir)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:  # flock keeps apart open files, in one process too
        with one_at_a_time(os.path.dirname(builder.data_dir), "prepares visda2017"):
            waiting = [pool.submit(prepare.prepared_builder, "visda2017", settings) for _ in range(2)]
            time.sleep(1)
            assert not any(job.done() for job in waiting)
        builders = [job.result() for job in waiting]
    assert prepared == ["visda2017"]
    assert all(b.is_prepared() for b in builders)
    assert "Waiting for another process that prepares visda2017" in capsys.readouterr().err


def test_a_full_disk_is_told(settings, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("write() failed: No space left on device; writing x.array_record at byte 9")

    monkeypatch.setattr(visda2017.Builder, "download_and_prepare", full)
    with pytest.raises(UserError, match=r"The disk refuses while preparing visda2017 .* Make room"):
        prepare.prepared_builder("visda2017", settings)


def test_says_what_to_get_where_there_is_nothing(tmp_path):
    with pytest.raises(UserError) as error:
        prepare.load_domain("office_home", "art", "art", DataSettings(data_dir=str(tmp_path / "data")))
    assert "OfficeHomeDataset_10072016.zip" in str(error.value)
    assert str(tmp_path / "data" / "downloads" / "manual") in str(error.value)
    assert "--manual_dir" in str(error.value)


def test_damaged_prepared_data_are_named(settings):
    builder = prepare.prepared_builder("visda2017", settings)
    path = os.path.join(builder.data_dir, "metadata.json")
    with open(path, encoding="utf-8") as file:
        metadata = json.load(file)
    metadata["class_counts"]["train"][0] += 1
    with open(path, "w", encoding="utf-8") as file:
        json.dump(metadata, file)
    with pytest.raises(DataError, match="is damaged"):
        prepare.load_domain("visda2017", "train", "train", settings)


@pytest.mark.parametrize(
    ("name", "file"),
    [("svhn_cropped", "train_32x32.mat"), ("domainnet/sketch", "csr.bu.edu"), ("usps", "zip.test.gz")],
)
def test_a_host_that_nobody_knows_is_told_at_once(tmp_path, monkeypatch, name, file):
    monkeypatch.setattr(prepare.socket, "getaddrinfo", _unknown)
    monkeypatch.setattr(prepare.urllib.request, "getproxies", dict)
    (tmp_path / "manual" / "something else").mkdir(parents=True)
    (tmp_path / "data" / "downloads" / "extracted").mkdir(parents=True)
    settings = DataSettings(data_dir=str(tmp_path / "data"), manual_dir=str(tmp_path / "manual"))
    with pytest.raises(UserError, match="cannot be reached") as error:
        prepare.prepared_builder(name, settings)
    assert name.split("/")[0] in str(error.value)
    assert file in str(error.value)


def _unknown(*_):
    raise OSError("Name or service not known")


class Colours(tfds.core.GeneratorBasedBuilder):
    """Stands for a data set of the TFDS catalogue."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 3)),
                    "label": tfds.features.ClassLabel(names=["a", "b", "c"]),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(50):
            yield number, {"image": np.full((8, 8, 3), number, np.uint8), "label": number % 3}


@pytest.mark.parametrize("file_format", [None, "tfrecord"])
def test_a_data_set_of_the_catalogue(tmp_path, file_format):
    settings = DataSettings(data_dir=str(tmp_path))
    if file_format:  # somebody prepared it before, in the format that cannot be read by index
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        Colours(data_dir=str(tmp_path)).download_and_prepare(download_config=config, file_format=file_format)
    for _ in range(2):  # the second time from the labels kept beside the records
        domain = prepare.load_domain("colours", "train", "colours", settings)
        values = [tf.io.decode_image(data).numpy()[0, 0, 0] for data in _bytes(domain, range(50))]
        assert sorted(values) == list(range(50))
        assert [value % 3 for value in values] == domain.labels.tolist()
    assert prepare.catalogue_class_names("colours") == ("a", "b", "c")
