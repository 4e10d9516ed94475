"""launch.inspect as a user runs it: the table, what cannot be read, and the picture of a batch."""

import re

import numpy as np
import pytest
from PIL import Image

from gsda_tf import recipes
from gsda_tf.choosing.rehearsal import strangers
from gsda_tf.data import inspection
from gsda_tf.data.checking import find_bad
from gsda_tf.datasets.loading import index
from tests.data.pictures import write_domain
from tests.launch import commands

_SMALL = ("--image_size=16", "--resize_size=20", "--source_batch=4", "--target_batch=3", "--augmentation=none")


@pytest.fixture
def photos(tmp_path):
    write_domain(tmp_path / "studio", {"bike": 3, "mug": 2, "pen": 1})
    write_domain(tmp_path / "street", {"bike": 2, "pen": 2}, first=50)
    return tmp_path


def _folders(root):
    return ("--pipeline=folders", f"--source_dir={root / 'studio'}", f"--target_dir={root / 'street'}")


def test_tells_counts_sizes_and_what_cannot_be_read_and_draws_a_batch(photos):
    bad = photos / "street" / "pen" / "broken.jpg"
    bad.write_bytes(b"\xff\xd8\xff no picture")
    sheet = photos / "sheets" / "batch.png"
    (photos / "street" / "bike" / "again.jpg").write_bytes(next((photos / "studio" / "bike").iterdir()).read_bytes())
    printed = commands.succeed("inspect", *_folders(photos), *_SMALL, f"--sheet={sheet}", "--norehearse")
    rows = [line.replace("|", "").split() for line in printed.splitlines()]
    assert ["bike", "3", "3"] in rows and ["mug", "2", "-"] in rows and ["pen", "1", "3"] in rows
    assert ["all", "6", "6"] in rows
    assert "partial adaptation, the target has 2 of the 3 classes" in printed
    assert "studio: all images are 24x20 pixels" in printed
    assert f"Cannot be read (target): {bad}" in printed
    assert "1 of the 6 target images are in the source too (" in printed and "again.jpg" in printed
    # A draw of four over three classes, the broken image left out.
    assert (
        "A batch: 4 source images (1 to 2 of each of 3 classes), so that 2,000 steps see each of the 6 1,333.3"
        in printed
    )
    assert str(sheet) in printed
    picture = np.asarray(Image.open(sheet))
    # Four images of 16 pixels above, three below, six pixels of white around each and of black between the two.
    assert picture.shape == (2 * 28 + 6, 4 * 22 + 6, 3)
    assert (picture[28:34] == 0).all()
    assert picture[34:, -22:].min() == 255  # no fourth target image
    assert picture[6:22, 6:22].std() > 0


def test_an_unlabelled_target_is_said_to_be_so(photos):
    for path in (photos / "street").rglob("*.*"):
        path.rename(photos / "street" / f"{path.parent.name}_{path.name}")
    for folder in ("bike", "pen"):
        (photos / "street" / folder).rmdir()
    given = {"pipeline": "folders", "source_dir": str(photos / "studio"), "target_dir": str(photos / "street")}
    data = index(recipes.resolve(given).data)
    printed = inspection.describe(data, *map(find_bad, (data.source, data.target)))
    assert "target without labels, so no accuracy is claimed" in printed
    assert ["bike", "3", "?"] in [line.replace("|", "").split() for line in printed.splitlines()]


def test_a_mistake_is_told_in_one_line(photos):
    told = commands.fail("inspect", "--pipeline=folders", f"--source_dir={photos / 'studio'}", "--target_dir=/nowhere")
    assert "/nowhere" in told


def test_a_rehearsal_tells_the_distance_and_the_time_of_each_candidate(photos):
    flags = (*_folders(photos), *_SMALL, "--extractor=small_cnn", "--steps=500", f"--sheet={photos / 'batch.png'}")
    printed = commands.succeed("inspect", *flags, "--method=auto", "--candidates=source_only,mcc")
    assert "Chosen: --method=auto trains source_only, mcc, 2 runs of each" in printed
    assert re.search(r"A-distance of the domains: \d\.\d\d \+- \d\.\d\d, by 6 and 4 images", printed)
    assert re.search(r"Training takes about .* evaluations aside: 2 x \(source_only .* s, mcc .* s\)\.", printed)
    assert not (photos / "runs").exists(), "nothing is trained"


def test_what_is_like_nothing_else_is_found():
    angles = np.radians(np.arange(60))  # each has neighbours at one degree
    alike = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert len(strangers(alike)) == 0
    assert list(strangers(np.concatenate([alike, [[-1, 0]], [[0, -1]]]))) == [60, 61]
    assert len(strangers(alike[:3])) == 0
