import os

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.evaluation import selection
from gsda_tf.runs.selected import SelectedWeights


class _Run:
    """A run of which only weights and scores exist: the weight is the step."""

    def __init__(self, workdir, select="entropy"):
        self.workdir, self.lines = str(workdir), []
        self.weight = tf.Variable([0.0])
        self.selected = SelectedWeights({"extractor": [self.weight]}, self.workdir, select)

    def evaluate(self, step, entropy):
        self.weight.assign([float(step)])
        self.lines.append({"step": step, "accuracy/source": 0.5, "score/entropy": entropy})
        self.selected.consider(self.lines, step)

    def kept(self):
        folder = os.path.join(self.workdir, "checkpoints")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return sorted(int(n[9:-6]) for n in names if n.endswith(".index"))

    def exported(self, last):
        with self.selected.loaded(self.lines, last) as step:
            inside = float(self.weight.numpy()[0])
        return step, inside


def test_the_best_evaluation_is_exported_and_the_last_weights_come_back(tmp_path):
    run = _Run(tmp_path)
    for step, entropy in [(10, 0.5), (20, 0.2), (30, 0.4)]:
        run.evaluate(step, entropy)
    run.selected.prune(run.lines)
    assert run.kept() == [20]
    assert run.exported(30) == (20, 20.0)
    assert float(run.weight.numpy()[0]) == 30


def test_last_keeps_nothing(tmp_path):
    run = _Run(tmp_path, "last")
    run.evaluate(10, 0.1)
    run.evaluate(20, 0.5)
    assert run.kept() == [] and run.exported(20) == (20, 20.0)


def test_the_last_step_itself_may_be_best(tmp_path):
    run = _Run(tmp_path)
    run.evaluate(10, 0.3)
    run.evaluate(20, 0.1)
    assert run.exported(20) == (20, 20.0)


def test_resumed_from_before_the_best(tmp_path):
    """Checkpoint at 20, best so far 10; then 30 is better, the run dies and starts again from 20."""
    run = _Run(tmp_path)
    run.evaluate(10, 0.3)
    run.evaluate(20, 0.5)
    run.selected.prune(run.lines)
    run.evaluate(30, 0.1)
    assert run.kept() == [10, 30]
    resumed = _Run(tmp_path)
    resumed.lines = run.lines[:2]  # what the log keeps up to the checkpoint
    resumed.weight.assign([20.0])
    resumed.evaluate(30, 0.4)  # this time it is not better
    resumed.selected.prune(resumed.lines)
    assert resumed.kept() == [10] and resumed.exported(30) == (10, 10.0)


def test_falls_back_to_what_is_on_disk(tmp_path):
    run = _Run(tmp_path)
    run.evaluate(10, 0.3)
    run.evaluate(20, 0.1)
    run.evaluate(30, 0.5)
    for name in os.listdir(os.path.join(tmp_path, "checkpoints")):
        if name.startswith("selected-20"):
            os.remove(os.path.join(tmp_path, "checkpoints", name))
    assert run.exported(30) == (10, 10.0)


def test_summary_tells_last_selected_and_oracle():
    lines = [
        {"step": s, "accuracy/source": 0.9, "accuracy/target": a, "score/im": i}
        for s, a, i in [(1, 0.5, 1.0), (2, 0.9, 2.0), (3, 0.7, 3.0), (4, 0.6, 2.5)]
    ]
    found = selection.compare(lines, "im", 3)
    assert [found[k]["step"] for k in ("last", "selected", "oracle")] == [4, 3, 2]
    assert [found[k]["accuracy/target"] for k in ("last", "selected", "oracle")] == [0.6, 0.7, 0.9]
    assert "never a result" in found["oracle"]["note"]
    unlabelled = [{k: v for k, v in line.items() if k != "accuracy/target"} for line in lines]
    assert selection.compare(unlabelled, "im", 3)["oracle"] is None


@pytest.mark.parametrize("score", [None, float("nan")])
def test_without_a_score_the_last_is_exported(tmp_path, score):
    run = _Run(tmp_path)
    run.evaluate(10, score)
    assert run.kept() == [] and run.exported(10) == (10, 10.0)
    np.testing.assert_array_equal(run.weight.numpy(), [10.0])
