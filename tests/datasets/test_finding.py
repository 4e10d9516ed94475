"""Image sets are found by what is in them, in every layout that users have."""

from __future__ import annotations

import dataclasses
import os
import shutil
import zipfile

import pytest

from gsda_tf.datasets.office31 import CALTECH_CLASSES
from gsda_tf.datasets.office31 import IMAGE_SET as OFFICE31
from gsda_tf.datasets.office_home import IMAGE_SET as OFFICE_HOME
from gsda_tf.datasets.preparing import finding
from gsda_tf.datasets.preparing.finding import plain
from gsda_tf.datasets.visda2017 import IMAGE_SET as VISDA
from gsda_tf.errors import DataError
from tests.datasets import fakes

SMALL_31 = fakes.small(OFFICE31)
SMALL_HOME = fakes.small(OFFICE_HOME)
SMALL_VISDA = fakes.small(VISDA, images=3)


def _images(found):
    return {split: [(rank, name, data) for rank, name, data in sorted(d.read())] for split, d in found.items()}


def _same(top, image_set, folders):
    """Whether what is found under `top` are the very images of `members`, in the order of class and name."""
    found = finding.require(str(top), image_set)
    expected = {split: [] for split in image_set.domains}
    for path, data in fakes.members(image_set, folders):
        split = next(s for s, folder in folders.items() if path.startswith(folder + "/"))
        expected[split].append((len(expected[split]), os.path.basename(path), data))
    assert _images(found) == expected
    assert {s: d.counts(len(image_set.class_names)) for s, d in found.items()} == dict(image_set.counts)
    return found


def test_known_totals():
    assert {s: sum(c) for s, c in OFFICE31.counts.items()} == {"amazon": 2817, "dslr": 498, "webcam": 795}
    assert {s: sum(c) for s, c in OFFICE_HOME.counts.items()} == {
        "art": 2427,
        "clipart": 4365,
        "product": 4439,
        "real_world": 4357,
    }
    assert {s: sum(c) for s, c in VISDA.counts.items()} == {"train": 152_397, "validation": 55_388}
    assert [len(s.class_names) for s in (OFFICE31, OFFICE_HOME, VISDA)] == [31, 65, 12]
    for image_set in (OFFICE31, OFFICE_HOME, VISDA):
        assert len(image_set.labels) == len(image_set.class_names)
        assert list(image_set.class_names) == sorted(image_set.class_names)


def test_known_totals_of_the_shared_classes():
    shared = [OFFICE31.class_names.index(name) for name in CALTECH_CLASSES]
    totals = {split: sum(counts[label] for label in shared) for split, counts in OFFICE31.counts.items()}
    assert totals == {"amazon": 958, "dslr": 157, "webcam": 295}


@pytest.mark.parametrize(
    "pattern",
    [
        "{}",
        "{}/images",
        "domain_adaptation_images/{}/images",
        "a/b/c/Domain Adaptation Images/{}",
    ],
)
def test_office31_folders(tmp_path, pattern):
    folders = {split: pattern.format(split) for split in OFFICE31.domains}
    fakes.write_folder(tmp_path, fakes.members(SMALL_31, folders))
    _same(tmp_path, SMALL_31, folders)


@pytest.mark.parametrize("real_world", ["Real World", "Real_World", "RealWorld", "real-world"])
def test_office_home_folders(tmp_path, real_world):
    top = "OfficeHomeDataset_10072016"
    folders = {split: f"{top}/{names[0]}" for split, names in OFFICE_HOME.domains.items()}
    folders["real_world"] = f"{top}/{real_world}"
    fakes.write_folder(tmp_path, fakes.members(SMALL_HOME, folders))
    (tmp_path / top / "ImageInfo.csv").write_text("a,b\n")
    _same(tmp_path, SMALL_HOME, folders)


@pytest.mark.parametrize(
    "rename", [str.lower, str.upper, lambda name: name.replace("_", " "), lambda n: n.replace("_", "-")]
)
def test_class_names_may_be_spelled_otherwise(tmp_path, rename):
    folders = {split: names[0] for split, names in OFFICE_HOME.domains.items()}
    fakes.write_folder(tmp_path, fakes.members(SMALL_HOME, folders, rename))
    _same(tmp_path, SMALL_HOME, folders)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize(
    ("image_set", "top"), [(SMALL_31, "domain_adaptation_images"), (SMALL_HOME, "OfficeHomeDataset_10072016")]
)
def test_one_archive(tmp_path, image_set, top, suffix):
    folders = {split: f"{top}/{names[0]}" for split, names in image_set.domains.items()}
    (tmp_path / "downloads").mkdir()
    fakes.write_archive(tmp_path / "downloads" / f"{top}{suffix}", fakes.members(image_set, folders))
    found = _same(tmp_path, image_set, folders)
    assert all(domain.archive for domain in found.values())


def test_an_archive_that_was_made_on_windows(tmp_path):
    folders = {split: f"domain_adaptation_images/{split}/images" for split in OFFICE31.domains}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for path, data in fakes.members(SMALL_31, folders):
            archive.writestr(path.replace("/", "\\"), data)
        archive.writestr(zipfile.ZipInfo("domain_adaptation_images\\amazon\\images\\ph\u00f6ne.txt"), b"x")
    _same(tmp_path, SMALL_31, folders)


def test_visda_folders_with_their_lists(tmp_path):
    folders = {split: split for split in VISDA.domains}
    fakes.write_folder(tmp_path, fakes.members(SMALL_VISDA, folders))
    for split in VISDA.domains:
        (tmp_path / split / "image_list.txt").write_text("aeroplane/frame_0001.jpg 0\n")
    _same(tmp_path, SMALL_VISDA, folders)


@pytest.mark.parametrize("pattern", ["{0}/{0}", "VisDA/{0}/{0}", "{0}/images", "train/{0}"])
def test_visda_folders_whose_domain_is_called_like_a_class(tmp_path, pattern):
    folders = {split: pattern.format(split) for split in VISDA.domains}
    fakes.write_folder(tmp_path, fakes.members(SMALL_VISDA, folders))
    _same(tmp_path, SMALL_VISDA, folders)


@pytest.mark.parametrize("inside", ["{}/", ""])
def test_visda_one_archive_a_domain(tmp_path, inside):
    folders = {split: split for split in VISDA.domains}
    for split in VISDA.domains:
        mine = [
            (inside.format(split) + path[len(split) + 1 :], data)
            for path, data in fakes.members(SMALL_VISDA, folders)
            if path.startswith(split + "/")
        ]
        fakes.write_archive(tmp_path / f"{split}.tar", [*mine, (inside.format(split) + "image_list.txt", b"x 0\n")])
    _same(tmp_path, SMALL_VISDA, folders)


def test_a_complete_archive_beats_a_folder_extracted_in_half(tmp_path):
    folders = {split: f"x/{split}" for split in OFFICE31.domains}
    fakes.write_archive(tmp_path / "x.tar", fakes.members(SMALL_31, folders))
    fakes.write_folder(tmp_path, fakes.members(SMALL_31, folders))
    os.remove(tmp_path / "x" / "webcam" / "mug" / "frame_0001.jpg")
    found = finding.require(str(tmp_path), SMALL_31)
    assert {split: domain.archive for split, domain in found.items()} == {
        "amazon": False,
        "dslr": False,
        "webcam": True,
    }


def test_another_set_with_the_same_domain_names_is_passed_over(tmp_path):
    folders = {split: f"office31/{split}" for split in OFFICE31.domains}
    fakes.write_folder(tmp_path, fakes.members(SMALL_31, folders))
    shared = dataclasses.replace(
        SMALL_31, class_names=tuple(f"{n}{'' if n in CALTECH_CLASSES else ' no'}" for n in OFFICE31.class_names)
    )
    fakes.write_folder(tmp_path, fakes.members(shared, {s: f"caltech/{s}" for s in OFFICE31.domains}))
    found = _same(tmp_path, SMALL_31, folders)
    assert all("office31" in domain.path for domain in found.values())


def test_shortfall_is_told_by_domain_and_class(tmp_path):
    folders = {split: f"{split}/images" for split in OFFICE31.domains}
    fakes.write_folder(tmp_path, fakes.members(SMALL_31, folders))
    shutil.rmtree(tmp_path / "amazon" / "images" / "bike")
    os.remove(tmp_path / "dslr" / "images" / "calculator" / "frame_0001.jpg")
    with pytest.raises(DataError) as error:
        finding.require(str(tmp_path), SMALL_31)
    message = str(error.value)
    assert "amazon has 44 of 46 images (bike 0 of 2)" in message
    assert "calculator 1 of 2" in message or "calculator 0 of 1" in message
    assert "webcam has" not in message


def test_surplus_is_told(tmp_path):
    folders = {split: split for split in VISDA.domains}
    fakes.write_folder(tmp_path, fakes.members(SMALL_VISDA, folders))
    (tmp_path / "train" / "bus" / "more.png").write_bytes(fakes.encoded(0, "PNG"))
    with pytest.raises(DataError, match=r"train has 25 of 24 images \(bus 4 of 3\)"):
        finding.require(str(tmp_path), SMALL_VISDA)


def test_missing_domain_says_what_to_get_and_where(tmp_path):
    folders = {split: split for split in OFFICE31.domains}
    fakes.write_folder(tmp_path, fakes.members(SMALL_31, folders))
    shutil.rmtree(tmp_path / "dslr")
    with pytest.raises(DataError) as error:
        finding.require(str(tmp_path), SMALL_31)
    message = str(error.value)
    assert "only amazon and webcam of Office-31" in message
    assert "missing dslr" in message
    assert "domain_adaptation_images.tar.gz" in message
    assert "--manual_dir" in message
    assert "\n" not in message


def test_names_an_archive_that_could_not_be_used(tmp_path):
    folders = {split: split for split in VISDA.domains}
    files = list(fakes.members(SMALL_VISDA, folders))
    fakes.write_archive(tmp_path / "train.tar", [f for f in files if f[0].startswith("train/")])
    fakes.write_archive(
        tmp_path / "validation.tar", [*(f for f in files if f[0].startswith("val")), ("../x.jpg", b"x")]
    )
    with pytest.raises(DataError, match=r"missing validation.*validation\.tar was not used: its member '\.\./x\.jpg'"):
        finding.require(str(tmp_path), SMALL_VISDA)


def test_an_unrelated_archive_does_no_harm(tmp_path):
    folders = {split: split for split in VISDA.domains}
    for split in VISDA.domains:
        files = [f for f in fakes.members(SMALL_VISDA, folders) if f[0].startswith(split + "/")]
        fakes.write_archive(tmp_path / f"{split}.tar", files)
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4 no more")
    fakes.write_archive(tmp_path / "other.tar.gz", [("/etc/x.jpg", b"x")])
    _same(tmp_path, SMALL_VISDA, folders)


def test_no_such_folder(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        finding.require(str(tmp_path / "none"), SMALL_31)


def test_links_are_followed_and_circles_end(tmp_path):
    folders = {split: split for split in OFFICE31.domains}
    fakes.write_folder(tmp_path / "elsewhere", fakes.members(SMALL_31, folders))
    (tmp_path / "manual").mkdir()
    for split in OFFICE31.domains:
        (tmp_path / "manual" / split).symlink_to(tmp_path / "elsewhere" / split)
    (tmp_path / "manual" / "again").symlink_to(tmp_path / "manual")
    _same(tmp_path / "manual", SMALL_31, folders)


def test_rubbish_of_other_systems_is_no_image(tmp_path):
    folders = {split: split for split in VISDA.domains}
    fakes.write_folder(tmp_path, fakes.members(SMALL_VISDA, folders))
    for split in VISDA.domains:
        for rubbish in ("._frame_0001.jpg", "Thumbs.db", ".DS_Store"):
            (tmp_path / split / "bus" / rubbish).write_bytes(b"x")
    _same(tmp_path, SMALL_VISDA, folders)


def test_plain():
    assert plain("Real World") == plain("real_world") == plain("Real-World") == "realworld"
