"""`--select`: the checkpoint of the evaluation that a score without labels likes best is kept, and exported."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import recipes
from gsda_tf.evaluation import selection
from gsda_tf.runs.folder import RunFolder
from tests.runs.made import DATA


class _Run:
    """A run of which only weights and scores exist: the weight is the step."""

    def __init__(self, workdir, ends, select):
        settings = recipes.written({"select": select, "keep_checkpoints": 1})
        self.weight, other = tf.Variable([0.0]), tf.Variable([0])
        self.state = {"extractor": [self.weight]}
        self.folder = RunFolder(str(workdir))
        extra = {"task": "t", "class_names": ["a", "b"], "data": DATA}
        self.step = ends.enter_context(self.folder.opened({**self.state, "pool": [other]}, settings, extra))

    def evaluate(self, step, entropy, checkpoint=False):
        self.weight.assign([float(step)])
        self.folder.write(step, {"accuracy/source": 0.5, "score/entropy": entropy})
        if self.folder.likes(step) or checkpoint:
            self.folder.save(step)

    def kept(self):
        return sorted(self.folder._checkpoints.steps())

    def exported(self, last):
        return self.folder.select(self.state, last), float(self.weight.numpy()[0])


@pytest.fixture
def begin(tmp_path):
    with contextlib.ExitStack() as ends:
        yield lambda select="entropy": _Run(tmp_path, ends, select)


def test_the_best_evaluation_is_exported(begin):
    run = begin()
    for step, entropy in [(10, 0.5), (20, 0.2), (30, 0.4)]:
        run.evaluate(step, entropy, checkpoint=step == 30)
    assert run.kept() == [20, 30], "the newest, and the best"
    assert run.exported(30) == (20, 20.0)


def test_last_keeps_nothing_else(begin):
    run = begin("last")
    run.evaluate(10, 0.1)
    assert run.kept() == []
    run.evaluate(20, 0.5, checkpoint=True)
    assert run.kept() == [20] and run.exported(20) == (20, 20.0)


def test_the_last_step_itself_may_be_best(begin):
    run = begin()
    run.evaluate(10, 0.3)
    run.evaluate(20, 0.1)
    assert run.kept() == [20] and run.exported(20) == (20, 20.0)


def test_what_was_best_is_gone_on_from(begin):
    run = begin()
    run.evaluate(10, 0.3)
    run.evaluate(20, 0.5, checkpoint=True)
    run.evaluate(30, 0.1)
    run.weight.assign([35.0])
    resumed = begin()
    assert resumed.step == 30 and float(resumed.weight.numpy()[0]) == 30
    resumed.evaluate(40, 0.4, checkpoint=True)
    assert resumed.kept() == [30, 40] and resumed.exported(40) == (30, 30.0)


def test_falls_back_to_what_is_on_disk(begin, tmp_path):
    run = begin()
    run.evaluate(10, 0.3)
    run.evaluate(20, 0.5, checkpoint=True)
    run.evaluate(30, 0.1)
    run.evaluate(40, 0.5, checkpoint=True)
    for path in (tmp_path / "checkpoints").glob("ckpt-30.*"):
        path.unlink()
    assert run.exported(40) == (40, 40.0)


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


@pytest.mark.parametrize("score", [float("inf"), float("nan")])
def test_without_a_score_the_last_is_exported(begin, score):
    run = begin()
    run.evaluate(10, score)
    assert run.kept() == [] and run.exported(10) == (10, 10.0)
    np.testing.assert_array_equal(run.weight.numpy(), [10.0])
