"""The page of a sweep."""

import dataclasses
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from gsda_tf.reporting.results import write_results
from gsda_tf.sweeps import sweep, trials
from tests.reporting import browser
from tests.reporting import runs as page_runs
from tests.runs.made import SUMMARY

_METHODS = ("source_only", "domain", "gsda")


def _sweep(out, seeds, accuracy) -> dict[str, str]:
    """Writes a finished sweep; returns the texts of its tables by ending.

    Args:
      out: its folder.
      seeds: how many.
      accuracy: (method, seed) -> 0..1.
    """
    runs = trials.plan("digits", ["Fo_Ha", "Mn_Us"], _METHODS, range(seeds), {"steps": 7}, str(out))
    for run in runs:
        os.makedirs(run.workdir)
        value = accuracy(run.method, run.settings.run.seed)
        scores = {"accuracy/source": 0.9, "accuracy/target": value, "accuracy/target_mean_class": value}
        summary = {
            **SUMMARY, "task": run.settings.data.task, "method": run.method, "seed": run.settings.run.seed,
            **scores, "score": "accuracy", "target_per_class_accuracy": {}, "settings": run.settings.flat(),
        }  # fmt: skip
        with open(os.path.join(run.workdir, "summary.json"), "w") as file:
            json.dump(summary, file)
        with open(os.path.join(run.workdir, "metrics.jsonl"), "w") as file:
            file.writelines(json.dumps({"step": s, **scores, "score/a_distance": 0.5}) + "\n" for s in (0, 4, 7))
    with open(os.path.join(runs[0].workdir, "report.html"), "w") as file:
        file.write("a page")
    texts = {}
    for path in write_results("digits", runs, [], str(out)):
        with open(path, encoding="utf-8") as file:
            texts[path.rpartition(".")[2]] = file.read()
    return texts


def _clear(method: str, seed: int) -> float:
    return {"source_only": 0.60, "domain": 0.80, "gsda": 0.801}[method] + [0.0, 0.03, 0.01][seed]


@pytest.fixture(scope="session")
def three(tmp_path_factory):
    """(folder, texts) of a sweep over three seeds in which gsda is a tenth of a point better than domain in each."""
    out = tmp_path_factory.mktemp("sweep")
    return out, _sweep(out, 3, _clear)


def test_every_pair_of_rows_is_compared_the_later_against_the_earlier(three):
    table = three[1]["md"].partition("## Differences")[2]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.count("|") == 8][2:]
    names = ["source only", "domain (DANN)", "+ synchronization (GSDA)"]
    assert [row[:2] for row in rows] == [[names[1], names[0]], [names[2], names[0]], [names[2], names[1]]]
    assert all(row[2] == "6" for row in rows)


def test_differences_whose_interval_excludes_0_are_bold(three):
    rows = [line for line in three[1]["md"].splitlines() if line.startswith("| domain (DANN) | source only")]
    assert len(rows) == 1 and "| **+20.00** |" in rows[0]
    assert 'class="strong">+20.00</td>' in three[1]["html"] and "**" not in three[1]["html"]


def test_what_two_seeds_do_not_show_is_not_bold_and_said_to_be_little(tmp_path, three):
    def unclear(method, seed):
        return {"source_only": 0.951, "domain": 0.95, "gsda": 0.953}[method] + seed * (0.01 if method == "gsda" else 0)

    texts = _sweep(tmp_path, 2, unclear)
    for text in (texts["md"], texts["html"]):
        assert "Two seeds say little" in text
    table = texts["md"].partition("Published")[0].partition("## Differences")[0]
    assert "**" not in table and 'class="strong"' not in texts["html"].partition("Differences")[0]
    assert "seeds say little" not in three[1]["md"]


def test_published_rows_are_folded_where_they_outnumber_ours(tmp_path):
    (run,) = trials.plan("office31", ["A_W"], ["gsda"], [0], {"weights": "none"}, str(tmp_path))
    with open(write_results("office31", [run], [], str(tmp_path))[2], encoding="utf-8") as file:
        text = file.read()
    assert "<details><summary>Published by others, not measured here" in text and "95.7" in text


def test_names_are_text_not_markup_and_no_columns(tmp_path):
    """Of tasks, settings, logs: whatever a folder or a stranger's run is called."""
    name = "<script>alert(1)</script>|x\x1b[2J"
    runs = trials.plan("digits", ["Fo_Ha"], ["gsda"], [0], {"steps": 7}, str(tmp_path))
    hostile = [dataclasses.replace(run, task=f"folders/{name}", variant=f"beta={name}") for run in runs]
    failures = [sweep.Failure(run, name, name) for run in hostile]
    texts = [Path(path).read_text("utf-8") for path in write_results(None, hostile, failures, str(tmp_path))]
    assert "<script" not in texts[1] + texts[2] and not any("\x1b" in text for text in texts)
    rows = [line for line in texts[1].splitlines() if line.startswith("|")]
    assert all(re.sub(r"\\\|", "", line).count("|") in (3, 4) for line in rows)


@pytest.mark.parametrize(
    "change",
    [{"accuracy/target": 7e300}, {"accuracy/target": "0.9"}, {"target_per_class_accuracy": {"x": "y"}}, {"score": "x"}],
)
def test_a_result_that_is_none_counts_as_missing(tmp_path, change):
    _sweep(tmp_path, 1, lambda method, seed: 0.5)
    (run, *others) = trials.plan("digits", ["Fo_Ha", "Mn_Us"], _METHODS, [0], {"steps": 7}, str(tmp_path))
    path = os.path.join(run.workdir, "summary.json")
    with open(path) as file:
        summary = {**json.load(file), **change}
    with open(path, "w") as file:
        json.dump(summary, file)
    assert run.summary() is None and all(other.summary() for other in others)
    assert "5 of 6 runs finished" in Path(write_results("digits", [run, *others], [], str(tmp_path))[1]).read_text()


def test_nothing_is_lost_is_written_as_nothing(three):
    assert "-0.00" not in three[1]["md"] and "−0.0" not in three[1]["md"]


def test_the_page_links_every_run_that_has_a_page(three):
    out, texts = three
    links = re.findall('<a href="(.*?)">(.*?)</a>', texts["html"])
    assert links == [("digits/Fo_Ha/source_only/seed0/report.html", "digits/Fo_Ha source_only seed 0")]
    assert os.path.isfile(out / links[0][0])
    assert texts["html"].count("seed 2</th>") == 6


@pytest.mark.skipif(browser.CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser(three, tmp_path, dark):
    found, said = browser.look({"sweep": str(three[0] / "results.html")}, tmp_path, dark)
    assert said == ""
    for name, seen in found.items():
        assert seen["scroll"] <= 0 and seen["dark"] == dark, name
        assert seen["overflow"] == seen["faint"] == seen["small"] == seen["blurred"] == [], name
        assert seen["hidden"] == [] or "1280" in name, "a phone shows every number without scrolling"


def test_without_labels_methods_are_compared_by_how_far_they_agree(tmp_path):
    """Of every four images: source only and GSDA differ in one, the seeds of GSDA in two."""
    runs = trials.plan("digits", ["Fo_Ha"], ["source_only", "gsda"], [0, 1], {"steps": 7}, str(tmp_path))
    answers = {("source_only", 0): [0, 1, 2, 3], ("source_only", 1): [0, 1, 2, 3], ("gsda", 0): [0, 1, 2, 0]}
    answers["gsda", 1] = [0, 1, 0, 3]
    for run in runs:
        page_runs.write(run.workdir, "unlabelled", size=20)
        _answer(run, answers[run.method, run.settings.run.seed])
    text = Path(write_results("digits", runs, [], str(tmp_path))[1]).read_text()
    rows = [line.split(" | ") for line in text.splitlines() if "| 2 |" in line]
    assert [row[2:5] for row in rows] == [["100.0 %", "100.0 %", "100.0 %"], ["75.0 %", "75.0 %", "50.0 %"]]
    assert "no row can be said to be right" in text
    # Source only 0.94 and GSDA (0.94 + 0.02) / 2 of its two seeds on every second image, else both 0.94.
    assert "probably right on 82.5 % of the images" in text and "--method=auto with the same flags" in text
    apart = text.partition("disagree most")[2].partition("agree most")[0]
    assert len(re.findall(r"\| image \d", apart)) == 12 and "| 71.0 % |" in apart and "94.0 %" in apart
    shares = text.partition("## Class shares")[2]
    assert len([line for line in shares.splitlines() if line.count("|") == 5]) >= 4


def _answer(run, predictions) -> None:
    """Makes a finished run of a sweep of a run that was written for a page."""
    path = os.path.join(run.workdir, "evaluation.npz")
    with np.load(path) as file:
        arrays = dict(file)
    probabilities = np.full((20, 4), 0.02, np.float32)
    probabilities[np.arange(20), predictions * 5] = 0.94
    np.savez(path, **{**arrays, "target_probabilities": probabilities})
    with open(os.path.join(run.workdir, "summary.json")) as file:
        summary = json.load(file)
    with open(os.path.join(run.workdir, "summary.json"), "w") as file:
        json.dump({**summary, "settings": run.settings.flat(), "step": 7, "steps": 7}, file)
