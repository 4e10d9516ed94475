import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.data import images
from gsda_tf.data.classes import plain_name
from gsda_tf.datasets import loading
from gsda_tf.errors import DataError, UserError
from tests.data import pictures
from tests.data.pictures import folders, odd_files, write_domain


@pytest.fixture
def source(tmp_path):
    return write_domain(tmp_path / "photos", {"bike": 3, "mug": 2, "pen": 2})


@pytest.fixture
def target(tmp_path):
    return write_domain(tmp_path / "sketches", {"bike": 2, "mug": 1, "pen": 4}, first=100)


def _refusal(settings) -> str:
    with pytest.raises(UserError) as refused:
        loading.load(settings)
    message = str(refused.value)
    assert "\n" not in message
    return message


def _names(domain) -> list[str]:
    return [domain.records.name(i) for i in range(len(domain))]


def test_a_folder_is_a_class(source, target):
    data = loading.load(folders(source, target))
    assert data.name == "folders/photos_sketches"
    assert data.class_names == ("bike", "mug", "pen")
    assert data.source.labels.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert data.target.labels.tolist() == [0, 0, 1, 2, 2, 2, 2]
    for domain in (data.source, data.target):
        folder_of = [os.path.basename(os.path.dirname(name)) for name in _names(domain)]
        assert folder_of == [data.class_names[label] for label in domain.labels]
        for index, name in enumerate(_names(domain)):
            with open(name, "rb") as file:
                assert domain.records.load(tf.constant(index, tf.int64)).numpy() == file.read()
    assert not data.partial and "3 classes in both" in data.summary()


def test_the_order_of_the_disk_does_not_matter(source, target, monkeypatch):
    expected = _names(loading.load(folders(source, target)).source)
    scandir = os.scandir

    class Backwards:
        def __init__(self, path):
            self._entries = iter(sorted(scandir(path), key=lambda entry: entry.name, reverse=True))

        def __next__(self):
            return next(self._entries)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    assert _names(loading.load(folders(source, target)).source) == expected


def test_a_flat_target_has_no_labels(source, tmp_path):
    flat = tmp_path / "new"
    flat.mkdir()
    for number in range(3):
        (flat / f"{number}.png").write_bytes(pictures.encoded("PNG", number))
    data = loading.load(folders(source, flat))
    assert data.target.labels.tolist() == [-1, -1, -1] and not data.target.labelled
    assert data.source.labelled and not data.partial
    assert "no accuracy is claimed" in data.summary()


def test_fewer_target_classes_are_partial_adaptation(source, tmp_path):
    target = write_domain(tmp_path / "few", {"bike": 1, "pen": 2}, first=50)
    data = loading.load(folders(source, target))
    assert data.partial and data.target_classes == (0, 2)
    assert data.target.labels.tolist() == [0, 2, 2]
    assert "partial adaptation, the target has 2 of the 3 classes" in data.summary()


def test_classes_that_the_source_lacks_are_unknown_if_that_is_said(source, tmp_path):
    target = write_domain(tmp_path / "t", {"bike": 1, "lamp": 1, "sofa": 2})
    data = loading.load(dataclasses.replace(folders(source, target), unknown="reject"))
    assert data.class_names == ("bike", "mug", "pen", "unknown") and data.known == data.class_names[:3]
    assert data.target.labels.tolist() == [0, 3, 3, 3] and data.score == "hos" and data.partial
    assert [name.split("/")[-2] for name in _names(data.target)] == ["bike", "lamp", "sofa", "sofa"]
    assert "Unknown: 3 target images, of classes that the source has not: lamp, sofa." in data.remarks
    assert data.summary().endswith("the target has 1 of the 3 classes, others are unknown")
    data = loading.load(
        dataclasses.replace(folders(source, write_domain(tmp_path / "u", {"mug": 1})), unknown="reject")
    )
    assert data.score == "accuracy" and data.unknown and not any("Unknown" in remark for remark in data.remarks)


def test_the_official_images_level_is_gone_through(tmp_path, target):
    source = tmp_path / "amazon"
    write_domain(source / "images", {"bike": 1, "mug": 1, "pen": 1})
    data = loading.load(folders(source, target))
    assert data.name == "folders/amazon_sketches" and data.class_names == ("bike", "mug", "pen")


@pytest.mark.parametrize("name", ["two words", "new\nline", "Äpfel", "りんご", "a'b\"c", "-dash"])
def test_any_name_will_do(tmp_path, name):
    source = write_domain(tmp_path / f"s {name}", {name: 1, "other": 1})
    target = write_domain(tmp_path / f"t {name}", {name: 2, "other": 1}, first=9)
    data = loading.load(folders(source, target))
    assert set(data.class_names) == {name, "other"}
    assert len(tf.io.decode_jpeg(data.target.records.load(tf.constant(0, tf.int64))).shape) == 3
    assert "/" not in data.name.removeprefix("folders/") and data.name.isprintable()


def test_names_that_are_no_unicode(tmp_path, source, target):
    raw = os.path.join(os.fsencode(source), b"bike", b"caf\xe9.jpg")
    with open(raw, "wb") as file:
        file.write(pictures.encoded(number=7))
    data = loading.load(folders(source, target))
    index = [os.fsencode(name) for name in _names(data.source)].index(raw)
    assert data.source.records.load(tf.constant(index, tf.int64)).numpy() == pictures.encoded(number=7)


def test_two_spellings_of_an_accent_are_one_class(tmp_path):
    source = write_domain(tmp_path / "s", {"caf\u00e9": 1, "tea": 1})
    target = write_domain(tmp_path / "t", {"cafe\u0301": 1, "tea": 1}, first=5)
    assert len(loading.load(folders(source, target)).class_names) == 2


def test_class_folders_named_by_a_code_page(tmp_path):
    """A name that is no Unicode is none that an export could hold."""
    source = write_domain(tmp_path / "s", {os.fsdecode(b"caf\xe9"): 2, "tea": 2})
    target = write_domain(tmp_path / "t", {"cafe\u0301": 2, "tea": 2}, first=9)
    data = loading.load(folders(source, target))
    assert data.class_names == ("caf\u00e9", "tea") and data.target.labels.tolist() == [0, 0, 1, 1]
    (told,) = data.remarks
    assert "--source_dir are no UTF-8 and were read as Windows 1252: caf\\udce9 is caf\u00e9" in told


def test_other_files_and_hidden_things_are_passed_over(source, target):
    before = len(loading.load(folders(source, target)).source)
    for name in ("bike/notes.txt", "bike/.DS_Store", "README.md", ".hidden.jpg"):
        with open(os.path.join(source, name), "w") as file:
            file.write("no image")
    os.makedirs(os.path.join(source, ".git", "objects"))
    assert len(loading.load(folders(source, target)).source) == before


def test_links_to_folders_and_files_are_followed(tmp_path, source, target):
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("bike", "mug", "pen"):
        (linked / name).symlink_to(os.path.join(source, name))
    assert len(loading.load(folders(linked, target)).source) == 7


def test_every_kind_of_file_counts_and_what_is_not_read_is_told(source, target):
    for name, content in odd_files().items():
        with open(os.path.join(source, "mug", name), "wb") as file:
            file.write(content)
    for name in ("a.heic", "b.HEIC", "notes.txt", "README"):
        with open(os.path.join(source, "mug", name), "w") as file:
            file.write("no image")
    data = loading.load(folders(source, target))
    assert np.bincount(data.source.labels).tolist() == [3, 2 + len(odd_files()), 2]
    (told,) = data.remarks
    assert told.startswith("Not read in --source_dir") and "2 .heic, 1 .txt, 1 without an ending" in told
    for domain in (data.source, data.target):
        for index in range(len(domain)):
            assert images.decode(domain.records.load(tf.constant(index, tf.int64))).shape[-1] == 3


def test_images_at_any_depth_are_of_the_class_above(tmp_path, target):
    source = tmp_path / "s"
    write_domain(source, {"bike": 1, "mug/2021": 2, "mug/2022/may": 1, "pen": 1, "pen/new": 1})
    data = loading.load(folders(source, target))
    assert data.class_names == ("bike", "mug", "pen") and data.source.labels.tolist() == [0, 1, 1, 1, 2, 2]
    assert any("4 images of --source_dir lie in folders below" in remark for remark in data.remarks)


@pytest.mark.parametrize("inner", [("2021", "2022"), ("train", "test"), ("cam1", "cam2")])
def test_folders_of_days_parts_or_cameras_are_no_classes(tmp_path, target, inner):
    source = tmp_path / "s"
    write_domain(source, {f"{name}/{part}": 1 for name in ("bike", "mug", "pen") for part in inner})
    assert loading.load(folders(source, target)).class_names == ("bike", "mug", "pen")


@pytest.mark.parametrize("inner", ["unlabeled", "2021", "a/b/c"])
def test_a_target_in_other_folders_has_no_labels(source, tmp_path, inner):
    target = tmp_path / "t"
    write_domain(target, {inner: 2, "x": 1}, first=50)
    data = loading.load(folders(source, target))
    assert data.target.labels.tolist() == [-1] * 3
    (told,) = data.remarks
    assert "is a class of the source: its 3 images are taken as a target without labels" in told and "x" in told


def test_what_systems_leave_behind_is_no_class_and_no_image(source, target):
    before = len(loading.load(folders(source, target)).source)
    for folder in ("@eaDir", "__MACOSX", "$RECYCLE.BIN", ".ipynb_checkpoints", "mug/@eaDir/a.jpg", "mug/.x"):
        os.makedirs(os.path.join(source, folder))
        with open(os.path.join(source, folder, "a.jpg"), "wb") as file:
            file.write(pictures.encoded())
    for name in ("mug/._frame_0000.jpg", "mug/Thumbs.db", "desktop.ini", "._a.jpg"):
        with open(os.path.join(source, name), "w") as file:
            file.write("x")
    data = loading.load(folders(source, target))
    assert data.class_names == ("bike", "mug", "pen") and len(data.source) == before and not data.remarks


class TestRefusals:
    """Each is one line that names what is wrong."""

    def test_a_flag_is_missing(self, source):
        assert "needs --target_dir=DIR" in _refusal(folders(source, ""))

    def test_not_there(self, source, tmp_path):
        assert f"--target_dir {tmp_path}/none cannot be read (No such file" in _refusal(
            folders(source, tmp_path / "none")
        )

    def test_a_file(self, source, tmp_path):
        (tmp_path / "file").write_text("x")
        assert "(Not a directory): expected a folder" in _refusal(folders(source, tmp_path / "file"))

    def test_no_images(self, source, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "holds no images" in _refusal(folders(source, tmp_path / "empty"))

    def test_an_unlabelled_source(self, tmp_path, target):
        (tmp_path / "flat").mkdir()
        (tmp_path / "flat" / "a.jpg").write_bytes(pictures.encoded())
        assert "no class folders" in _refusal(folders(tmp_path / "flat", target))

    def test_a_class_that_the_source_lacks(self, source, tmp_path):
        target = write_domain(tmp_path / "t", {"bike": 1, "Mugs": 1})
        message = _refusal(folders(source, target))
        assert "'Mugs'" in message and "Did you mean 'mug'?" in message and "bike, mug, pen" in message

    def test_a_class_that_is_almost_one_of_the_sources_is_not_unknown(self, source, tmp_path):
        target = write_domain(tmp_path / "t", {"bike": 1, "Mug": 1})
        with pytest.raises(DataError, match="has the class 'mug' and the target 'Mug': are they one"):
            loading.load(dataclasses.replace(folders(source, target), unknown="reject"))

    def test_a_source_with_a_class_called_unknown(self, tmp_path):
        source = write_domain(tmp_path / "s", {"bike": 1, "unknown": 1})
        target = write_domain(tmp_path / "t", {"bike": 1, "lamp": 1})
        with pytest.raises(DataError, match="expected at least two classes, and none called 'unknown'"):
            loading.load(dataclasses.replace(folders(source, target), unknown="reject"))

    def test_an_empty_class(self, source, target):
        os.makedirs(os.path.join(source, "lamp"))
        assert "Class 'lamp' of --source_dir is empty" in _refusal(folders(source, target))

    @pytest.mark.parametrize("inner", ["", "images"])
    def test_one_level_too_high(self, tmp_path, target, inner):
        write_domain(tmp_path / "all" / "amazon" / inner, {"bike": 1, "mug": 1})
        write_domain(tmp_path / "all" / "webcam" / inner, {"bike": 1, "mug": 1}, first=5)
        message = _refusal(folders(tmp_path / "all", target))
        assert "--source_dir" in message and "one level too high" in message
        assert f"{tmp_path}/all/amazon, {tmp_path}/all/webcam" in message

    def test_the_parts_of_a_set_are_no_classes(self, tmp_path):
        for domain in ("s", "t"):
            for part in ("train", "test"):
                write_domain(tmp_path / domain / part, {"bike": 1, "mug": 1})
        assert "one level too high" in _refusal(folders(tmp_path / "s", tmp_path / "t"))

    def test_a_target_one_level_too_high(self, source, tmp_path):
        write_domain(tmp_path / "t" / "unlabeled", {"bike": 1, "mug": 1}, first=5)
        message = _refusal(folders(source, tmp_path / "t"))
        assert "--target_dir" in message and "one level too high" in message and f"{tmp_path}/t/unlabeled" in message

    def test_a_class_of_what_cannot_be_read(self, source, target):
        os.makedirs(os.path.join(source, "lamp"))
        with open(os.path.join(source, "lamp", "a.heic"), "w") as file:
            file.write("x")
        assert "holds no images that can be read, but 1 .heic" in _refusal(folders(source, target))

    def test_a_class_written_otherwise_is_no_unlabelled_target(self, source, tmp_path):
        target = write_domain(tmp_path / "t", {"Bikes": 1, "Mugs": 1})
        assert "Did you mean 'bike'?" in _refusal(folders(source, target))

    def test_one_level_too_high_above_the_target(self, tmp_path):
        write_domain(tmp_path / "all" / "amazon", {"bike": 1, "mug": 1})
        target = write_domain(tmp_path / "all" / "webcam", {"bike": 1, "mug": 1}, first=5)
        assert "one level too high" in _refusal(folders(tmp_path / "all", target))

    def test_the_same_folder_twice(self, source):
        assert f"{source} and {source}/. are one place" in _refusal(folders(source, source + "/."))

    def test_the_same_folder_through_a_link(self, source, tmp_path):
        (tmp_path / "link").symlink_to(source)
        message = _refusal(folders(source, tmp_path / "link"))
        assert f"{source} and {tmp_path / 'link'} are one place" in message

    def test_the_same_class_folder_through_a_link(self, source, tmp_path):
        target = write_domain(tmp_path / "t", {"bike": 1, "mug": 1}, first=50)
        os.symlink(os.path.join(source, "pen"), os.path.join(target, "pen"))
        (told,) = loading.load(folders(source, target)).remarks
        assert "2 of the 4 target images are in the source too" in told

    def test_one_folder_for_two_classes(self, source, target):
        os.symlink(os.path.join(source, "pen"), os.path.join(source, "pencil"))
        message = _refusal(folders(source, target))
        assert f"{source}/pen and {source}/pencil of --source_dir are the same folder" in message

    def test_a_link_to_itself(self, source, target):
        os.symlink("loop", os.path.join(source, "loop"))
        message = _refusal(folders(source, target))
        assert "symbolic link" in message and os.path.join(source, "loop") in message

    def test_a_link_to_a_folder_above(self, source, target):
        os.symlink("..", os.path.join(source, "up"))
        message = _refusal(folders(source, target))
        assert "symbolic link" in message and "leads back" in message and os.path.join(source, "up") in message

    def test_a_link_that_leads_nowhere(self, source, target):
        os.symlink("gone", os.path.join(source, "lost"))
        message = _refusal(folders(source, target))
        assert os.path.join(source, "lost") in message and "leads nowhere" in message

    def test_the_root_is_a_loop(self, target, tmp_path):
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        assert "(Too many levels of symbolic links)" in _refusal(folders(tmp_path / "loop", target))

    def test_images_beside_class_folders(self, source, target):
        with open(os.path.join(source, "stray.jpg"), "wb") as file:
            file.write(pictures.encoded())
        message = _refusal(folders(source, target))
        assert "stray.jpg" in message and "one or the other" in message

    def test_a_single_class(self, tmp_path):
        source = write_domain(tmp_path / "s", {"bike": 2})
        target = write_domain(tmp_path / "t", {"bike": 2}, first=5)
        message = _refusal(folders(source, target))
        assert "1 class" in message and "at least 2" in message

    def test_a_folder_that_may_not_be_read(self, source, target, monkeypatch):
        # Tests may run as root, whom no permission stops.
        scandir = os.scandir

        def denied(path):
            if os.path.basename(path) == "mug":
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", denied)
        message = _refusal(folders(source, target))
        assert os.path.join(source, "mug") in message and "Permission denied" in message


def test_plain_names():
    assert plain_name("/data/Real World/") == "Real-World"
    assert plain_name("/data/amazon/images") == "amazon"
    assert plain_name("/") == "root"
    assert plain_name("lists/amazon_31_list.txt") == "amazon_31_list"


def test_labels_are_what_batches_need(source, target):
    assert loading.load(folders(source, target)).source.labels.dtype == np.int32
    with pytest.raises(DataError):
        loading.load(folders(source, source))
