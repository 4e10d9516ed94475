"""The list to fill in and its page; that the list comes back as labels; and what is no run to pick from."""

import types

import numpy as np
import pytest

from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.records import ArrayRecords
from gsda_tf.datasets.target_labels import hand_over
from gsda_tf.errors import UserError
from gsda_tf.reporting import picks
from gsda_tf.settings import DataSettings, Settings

NAMES = ("<mug>", "pen")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """A finished run with what its candidates said of ten images, whose labels nobody handed over."""
    images = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3)).astype(np.uint8)
    truth = (np.arange(10) % 2).astype(np.int32)
    domains = [DomainData(name, ArrayRecords(images, name), truth) for name in ("source", "target")]
    data = TaskData("t", *domains, NAMES)
    folder = tmp_path / "candidates" / "mcc" / "seed0"
    folder.mkdir(parents=True)
    np.savez(folder / "outputs.npz", probabilities=np.tile([[0.6, 0.4]], (10, 1)))
    found = types.SimpleNamespace(
        workdir=str(tmp_path), summary={}, settings={}, class_names=NAMES, task="t", data=data, truth=truth
    )
    settings = Settings().replace({"image_size": 8, "resize_size": 8})
    monkeypatch.setattr(picks, "load_run", lambda workdir: found)
    monkeypatch.setattr(picks.recipes, "restored", lambda values, given: (settings, []))
    monkeypatch.setattr(picks, "load", lambda settings, names: found.data)
    return found


def test_a_list_that_is_filled_in_is_what_target_labels_takes(run):
    path, page = picks.write_picks(run.workdir, 6)
    with open(path) as file:
        rows = [line.split(",") for line in file.read().splitlines()]
    assert rows[0] == ["image", "label", "use"] and len(rows) == 7
    assert [row[2] for row in rows[1:]].count("score") == 3 and not any(row[1] for row in rows[1:])
    with open(page) as file:
        text = file.read()
    assert text.count("<img") == 6 and "&lt;mug&gt;" in text and "<mug>" not in text and "60.0 % agreement" in text
    with pytest.raises(UserError, match="move it away"):
        picks.write_picks(run.workdir, 6)
    places = [int(row[0][len("target[") : -1]) for row in rows[1:]]
    filled = [",".join(rows[0])] + [f"{row[0]},{NAMES[run.truth[i]]},{row[2]}" for row, i in zip(rows[1:], places)]
    with open(path, "w") as file:
        file.write("\n".join(filled))
    target = hand_over(run.data, DataSettings(target_labels=path)).target
    uses = [row[2] for row in rows[1:]]
    assert np.flatnonzero(target.taught >= 0).tolist() == [i for i, use in zip(places, uses) if use == "train"]
    assert all(target.labels[i] == run.truth[i] for i, use in zip(places, uses) if use == "score")


def test_what_is_no_run_to_pick_from(run):
    run.summary = None
    with pytest.raises(UserError, match="no finished run"):
        picks.write_picks(run.workdir, 6)
    run.summary = {}
    run.data = TaskData("t", run.data.source, run.data.target.chosen(np.arange(4)), NAMES)
    with pytest.raises(UserError, match="trained on 10 target images, 4 are there"):
        picks.write_picks(run.workdir, 6)
