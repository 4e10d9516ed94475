import base64
import html
import io
import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from gsda_tf.reporting import report
from gsda_tf.reporting.report import write_report
from tests.reporting import browser, runs

STATES = ("labelled", "unlabelled", "going", "new")


@pytest.fixture(scope="session")
def pages(shared):
    """Path of the page of a run in each state."""

    def make(folder: str) -> None:
        for state in STATES:
            workdir = os.path.join(folder, state, "gsda", "seed0")
            runs.write(workdir, state)
            if state in ("labelled", "unlabelled"):
                runs.write(os.path.join(folder, state, "source_only", "seed0"), f"{state} source_only")
            write_report(workdir)

    folder = shared("pages", make)
    return {state: os.path.join(folder, state, "gsda", "seed0", "report.html") for state in STATES}


@pytest.fixture
def undrawn(monkeypatch) -> list:
    """Pages are made without their pictures, which take most of the time; returns the figures that they would show."""
    figures = []
    monkeypatch.setattr(report, "panels", lambda drawn: figures.extend(drawn) or [])
    monkeypatch.setattr(report.embedding, "tsne", lambda *features: [values[:, :2] for values in features])
    return figures


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
        "Features",
        "Target, class by class",
        "Most confident mistakes",
        "Synchronization",
        "Groups",
        "How it was made",
    ]
    text = _read(pages["labelled"])
    assert "<b>70.0 %</b><span>accuracy/<wbr>target</span>" in text
    assert "<b>+20.0 points</b><span>against source only, 50.0 %</span>" in text
    assert text.count('<div class="thumb">') == 6
    assert "94.0 % sure" in text and "of the images that it was trained on" in text
    assert text.count("<figure>") == 7
    assert text.count(">mug/<wbr>photo_<wbr>0000") == 6, "mistakes name their files"
    assert "score/<wbr>a_<wbr>distance, before and after" in text and "1.90 → 1.50" in text
    assert "After training (A-distance 1.50)" not in text  # it is in the picture, with the same number
    assert "<details><summary><h2>Synchronization" in text
    assert "+ synchronization (GSDA)." in text


def test_names_of_classes_are_text_not_markup(pages):
    text = _read(pages["labelled"])
    assert html.escape(runs.CLASSES[1]) in text
    assert runs.CLASSES[1] not in text


def test_an_unlabelled_target_has_no_accuracy_and_no_oracle(pages):
    text = _read(pages["unlabelled"])
    assert "<b>no labels</b><span>accuracy/<wbr>target</span>" in text
    assert ">oracle<" not in text and "Target, class by class" not in text
    assert "Target images without a label are grey" in text
    assert _headings(pages["unlabelled"])[:3] == [
        "Target, as the model sees it", "Surest images, one a class", "Least sure images",
    ]  # fmt: skip
    assert text.count('<div class="thumb">') == 4 + 12 and text.count(">mug/<wbr>photo_<wbr>0000") == 16
    assert "0.9 or more" in text
    assert "<h3>Against source only</h3>\n<p>10.0 % of the images (6) get another class" in text


def test_source_only_is_compared_only_where_it_lies_beside_with_the_same_settings(tmp_path, undrawn):
    workdir = runs.write(tmp_path / "gsda" / "seed0")
    other = runs.write(tmp_path / "source_only" / "seed0", "labelled source_only")
    assert "against source only" in _read(write_report(workdir))
    path = os.path.join(other, "settings.json")
    text = _read(path)
    # A method may bring a width of its own: source only stays what a user would have without it.
    for changed, to, alike in (('"bottleneck_units": 128', '"bottleneck_units": 64', True), (": 40,", ": 400,", False)):
        assert changed in text
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(changed, to))
        assert ("against source only" in _read(write_report(workdir))) == alike


def test_a_partial_target_tells_what_went_to_other_classes_and_offers_the_comparison(pages, tmp_path, undrawn):
    text = _read(write_report(runs.write(tmp_path / "gsda" / "seed0", "partial")))
    assert "The target has 2 of 4 classes." in text and "taken for a class that it does not have" in text
    assert "that it does not have" not in _read(pages["labelled"])
    assert "against source only" not in text and f"--workdir={tmp_path}/source_only/seed0" in text
    assert "compares itself with" not in _read(pages["labelled"]) + _read(pages["going"])


def test_a_run_that_is_going_says_so(pages):
    assert "step 20 of 40 (50 %)" in _read(pages["going"])
    assert _headings(pages["going"]) == [
        "Training", "Features", "Synchronization", "Groups",
        "How it was made",
    ]  # fmt: skip
    assert "Nothing was logged yet" in _read(pages["new"]) and "step 0 of 40" in _read(pages["new"])


def test_source_only_has_no_synchronization_no_groups_and_no_comparison(tmp_path, undrawn):
    path = write_report(runs.write(tmp_path, "source_only"))
    assert not {"Synchronization", "Groups"} & set(_headings(path))
    assert "source only." in _read(path) and "compares itself with" not in _read(path)


def test_of_a_thousand_classes_only_what_can_be_read_is_drawn(tmp_path, undrawn):
    names = [f"class_{k:04d}" for k in range(1000)]
    text = _read(write_report(runs.write(tmp_path, "labelled", names, 1500)))
    assert "The matrix of 1,000 classes is left out" in text and "<summary><h2>Groups" in text
    assert len(text) < 1_000_000
    (bars,) = (figure.axes[0] for figure in undrawn if "worst" in figure.axes[0].get_title(loc="left"))
    widths = [bar.get_width() for bar in bars.patches]
    assert len(widths) == 40 and widths == sorted(widths, reverse=True) and widths[-1] < 100
    assert all(figure.get_figheight() < 13 for figure in undrawn)
    undrawn.clear()
    write_report(runs.write(tmp_path / "unlabelled", "unlabelled", names, 1500))
    (shares,) = (figure.axes[0] for figure in undrawn if "differ most" in figure.axes[0].get_title(loc="left"))
    assert len(shares.patches) == 80


@pytest.mark.skipif(browser.CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser(pages, tmp_path, dark):
    """At 1,280 and 420 px, in light and dark: nothing overflows, is broken, or is too faint or small to be read."""
    found, said = browser.look(pages, tmp_path, dark)
    assert len(found) == len(pages) * len(browser.WIDTHS) and said == ""
    for name, seen in found.items():
        assert seen["scroll"] <= 0, f"{name} is wider than the window"
        assert seen["dark"] == dark
        assert seen["broken"] == 0 and (seen["images"] > 0) == (not name.startswith("new"))
        for kind in ("overflow", "faint", "small", "blurred", "hidden"):
            assert seen[kind] == [], (name, kind)


def _changed(workdir: str, **changes) -> str:
    """Text of the page of a run after a change of what its evaluation kept."""
    path = os.path.join(workdir, "evaluation.npz")
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, **changes})
    return _read(write_report(workdir))


def test_where_all_scores_are_the_same_the_page_sorts_by_agreement(tmp_path, undrawn):
    workdir = runs.write(tmp_path, "unlabelled")
    sure = np.zeros((runs.SIZE, 4), np.float32)
    sure[:, 1] = 1
    assert "which tells no image from another" in _changed(workdir, target_probabilities=sure)
    agreement = np.linspace(1, 0, runs.SIZE).astype(np.float32)
    text = _changed(workdir, target_agreement=agreement)
    least = text.partition("disagree most")[2].partition("<h2>")[0]
    assert re.findall(r"photo_<wbr>0000(\d\d)\.jpg</span>", least) == [str(i).zfill(2) for i in range(16, 4, -1)]
    assert "Sorted by agreement instead" in text and f"100.0 % sure, {100 * agreement[16]:.0f} % agreement" in least


def test_a_distance_of_nothing_is_told(tmp_path, undrawn):
    workdir = runs.write(tmp_path)
    path = os.path.join(workdir, "metrics.jsonl")
    lines = [json.loads(line) for line in _read(path).splitlines()]
    for line in lines:
        line.update({"score/a_distance": 0.0, "score/a_distance_spread": 0.07} if line["step"] == 40 else {})
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    text = _read(write_report(workdir))
    assert "<b>1.90 → 0.00</b>" in text and "± 0.07" in text


def test_what_does_not_change_is_said_not_drawn(tmp_path, undrawn):
    workdir = runs.write(tmp_path / "still")
    path = os.path.join(workdir, "metrics.jsonl")
    lines = [json.loads(line) for line in _read(path).splitlines()]
    for line in lines:
        line.update({key: 1.0 for key in line if key in ("accuracy/source", "accuracy/target")})
    for kept, said in (
        (lines, "accuracy/source is 100.0 % at every evaluation."),
        ([line for line in lines if line["step"] in (0, 40)], "Evaluated once in training, at step 40"),
    ):
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in kept)
        text = _read(write_report(workdir))
        assert said in text
        assert not any(figure.axes[0].get_title(loc="left") == "Accuracy" for figure in undrawn)
