import base64
import glob
import html
import io
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gsda_tf.reporting.report import write_report
from tests.reporting import runs

STATES = ("labelled", "unlabelled", "partial", "going", "new", "source_only")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Path of the page of a run in each state."""
    folder = tmp_path_factory.mktemp("runs")
    return {state: write_report(runs.write(folder / state, state)) for state in STATES}


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _headings(path: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", _read(path))


@pytest.mark.parametrize("state", STATES)
def test_a_page_needs_nothing_but_itself(pages, state):
    text = _read(pages[state])
    assert "<script" not in text and "<link" not in text and "@import" not in text and "url(" not in text
    sources = re.findall(r'src="([^"]*)"', text)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    for source in sources:
        Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).verify()


def test_a_finished_run_shows_everything(pages):
    assert _headings(pages["labelled"]) == [
        "Training",
        "Synchronization",
        "Features",
        "Target, class by class",
        "Most confident mistakes",
        "Which checkpoint, without target labels",
        "Groups",
        "How it was made",
    ]
    text = _read(pages["labelled"])
    assert "<b>70.0 %</b><span>target accuracy</span>" in text
    assert text.count('<div class="thumb">') == 6
    assert "94.0 % sure" in text
    assert text.count("<figure>") == 7
    assert "+ synchronization (GSDA)." in text


def test_names_of_classes_are_text_not_markup(pages):
    text = _read(pages["labelled"])
    assert html.escape(runs.CLASSES[1]) in text
    assert runs.CLASSES[1] not in text


def test_the_oracle_is_marked(pages):
    rows = re.findall("<tr class=oracle>(.*?)</tr>", _read(pages["labelled"]))
    assert len(rows) == 1 and "never a result" in rows[0]
    assert "<td>20</td>" in rows[0] and "90.0 %" in rows[0]
    exported = re.findall(r"<tr><td>([^<]*)</td>(?:(?!</tr>).)*exported", _read(pages["labelled"]))
    assert exported == ["last step"]


def test_an_unlabelled_target_has_no_accuracy_and_no_oracle(pages):
    text = _read(pages["unlabelled"])
    assert "<b>no labels</b><span>target accuracy</span>" in text
    assert "oracle>" not in text and "Target, class by class" not in text
    assert "the class that the model predicts" in text


def test_a_partial_target_tells_what_went_to_other_classes(pages):
    assert "The target has 2 of 4 classes." in _read(pages["partial"])
    assert "taken for a class that it does not have" in _read(pages["partial"])
    assert "that it does not have" not in _read(pages["labelled"])


def test_a_run_that_is_going_says_so(pages):
    assert "step 20 of 40 (50 %)" in _read(pages["going"])
    assert _headings(pages["going"]) == [
        "Training", "Synchronization", "Features", "Which checkpoint, without target labels", "Groups",
        "How it was made",
    ]  # fmt: skip
    assert "exported" not in _read(pages["going"])
    assert "Nothing was logged yet" in _read(pages["new"]) and "step 0 of 40" in _read(pages["new"])


def test_source_only_has_no_synchronization_and_no_groups(pages):
    assert not {"Synchronization", "Groups"} & set(_headings(pages["source_only"]))
    assert "source only." in _read(pages["source_only"])


def test_the_figures_are_in_tensorboard_once(pages):
    workdir = os.path.dirname(pages["labelled"])
    write_report(workdir)
    (events,) = glob.glob(os.path.join(workdir, "tensorboard", "report", "events*"))
    found = {}
    for record in tf.data.TFRecordDataset(events):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            found[value.tag] = (event.step, value.tensor.string_val[2])
    names = ("losses", "accuracies", "synchronization", "features", "per_class", "confusion", "label_free")
    assert set(found) == {f"report/{name}" for name in names}
    for step, picture in found.values():
        assert step == runs.STEPS
        assert tf.io.decode_png(picture).shape[-1] == 3


_MEASURE = """<script>
const images = [...document.images];
document.title = JSON.stringify({
  images: images.length,
  broken: images.filter(i => !i.complete || i.naturalWidth === 0).length,
  flat: images.filter(i => i.getBoundingClientRect().height < 20).length,
  overflow: document.documentElement.scrollWidth - window.innerWidth,
  cards: new Set([...document.querySelectorAll('.card')].map(c => c.getBoundingClientRect().height)).size,
  height: document.documentElement.scrollHeight,
});
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [1280, 500])
def test_in_a_browser(pages, tmp_path, width):
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(_read(pages["labelled"]).replace("</body>", _MEASURE), encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1600",
    ]  # fmt: skip
    dom = subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120).stdout
    measured = json.loads(html.unescape(re.search("<title>(.*?)</title>", dom).group(1)))
    assert measured["images"] == 7 + 6
    assert measured["broken"] == measured["flat"] == 0
    assert measured["overflow"] <= 0, "the page is wider than the window"
    assert measured["height"] > 1600
    subprocess.run([*command, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True, timeout=120)
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert pixels.shape == (1600, width, 3)
    accent = (np.abs(pixels.astype(int) - [0x24, 0x57, 0xA6]).sum(axis=-1) < 30).sum()
    assert accent > 100, "neither the headline's colour nor the source's curve is to be seen"
