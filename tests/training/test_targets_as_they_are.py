"""Few target labels, other shares, unknown classes, several sources: a run goes on, is exported, asked and drawn."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import job, recipes
from gsda_tf.training.experiment import restore
from tests import rounding

SMALL = {"steps": 6, "checkpoint_steps": 3, "bottleneck_units": 4, "source_batch": 8, "target_batch": 8}
NAMES = np.array(["a", "b", "c", "d"])


def _file(folder, name, labels, shift, known=None):
    """Features that tell the classes; where `known` is False, an image has no label."""
    rows = np.eye(4, 5)[labels] + shift + 0.1 * np.random.default_rng(len(name)).normal(size=(len(labels), 5))
    names = NAMES[labels] if known is None else np.where(known, NAMES[labels], "")
    np.savez(folder / f"{name}.npz", features=rows.astype(np.float32), labels=names)
    return str(folder / f"{name}.npz")


@pytest.mark.parametrize(
    ("kind", "drawn"),
    [("labels", "by 6 labelled images"), ("sources", "web"), ("shares", "Class shares"), ("unknown", "target_hos")],
)
def test_a_run_goes_on_is_exported_asked_and_drawn(kind, drawn, tmp_path):
    labels = np.arange(30) % 3
    source, other = _file(tmp_path, "shop", labels, 0.0), _file(tmp_path, "web", labels[labels > 0], 0.2)
    known = np.arange(30) < 12 if kind == "labels" else None
    new = np.arange(30) % (4 if kind == "unknown" else 3)
    target = _file(tmp_path, "new", new, 0.4, known)
    given = {**SMALL, "method": "mcc", "source": source, "target": target, "workdir": str(tmp_path / "run")}
    more = {
        "labels": {},
        "sources": {"source": [source, other]},
        "shares": {"target_prior": "estimate"},
        "unknown": {"unknown": "reject"},
    }
    given |= more[kind]
    whole = job.run(recipes.resolve({**given, "export": False}))
    assert drawn in (tmp_path / "run" / "report.html").read_text(encoding="utf-8").replace("<wbr>", "")
    for name in ("summary.json", "checkpoints/ckpt-6.index"):
        (tmp_path / "run" / name).unlink()
    again = job.run(recipes.resolve({**given, "report": False}))
    alike = (
        "weights_sha256",
        "accuracy/target",
        "target_shares",
        "target_sample",
        "accuracy_by_source",
        "accuracy/target_hos",
    )
    assert {name: again.get(name) for name in alike} == {name: whole.get(name) for name in alike}
    assert again.get("target_sample") == (6 if kind == "labels" else None)
    assert len(again.get("accuracy_by_source", ())) == (2 if kind == "sources" else 0)
    assert (again.get("accuracy/target_hos") is not None) == (kind == "unknown")
    experiment, _ = restore(str(tmp_path / "run"))
    expected = experiment.inference(experiment.inputs.target).probabilities
    rows = tf.constant(np.load(target)["features"])
    said = tf.saved_model.load(again["export_dir"]).signatures["serving_default"](features=rows)
    assert rounding.distance(said["probabilities"], expected) < rounding.FORWARD
