"""The callbacks of every run: their order, and when they act."""

import types

import pytest

from gsda_tf.settings import Settings
from gsda_tf.training import callbacks
from gsda_tf.training.callbacks import standard
from gsda_tf.training.callbacks.base import Callback, Moment


def _training(**settings):
    """What callbacks look at before they act."""
    return types.SimpleNamespace(
        settings=Settings().replace(settings), label_period=3, phase_ends=(7,), chief=False, steps=10
    )


def _acts(callback, steps, monkeypatch, **moment):
    acted = []
    monkeypatch.setattr(callback, "act", acted.append)
    for step in range(1, steps + 1):
        callback(Moment(step, last=step == steps, **moment))
    return acted


def test_the_order_at_one_step_is_stated_in_one_place_and_a_new_one_finds_its_own(monkeypatch):
    training = _training()
    dots = callbacks.ORDER.index("...")
    before, after = list(callbacks.ORDER[:dots]), list(callbacks.ORDER[dots + 1 :])
    others = sorted(callback.name for callback in callbacks.build(training) if callback.name not in callbacks.ORDER)

    class Mine(Callback):
        name = "mine"

    for added in ([], ["mine"]):
        between = sorted(others + added)
        assert [each.name for each in callbacks.build(training)] == [*before, *between, *after]
        monkeypatch.setattr(standard, "Mine", Mine, raising=False)  # as if it stood in a file of the folder
    assert before == ["log", "shares", "label", "evaluate"] and after == ["checkpoint", "bar"]


def test_periods(monkeypatch):
    training = _training(report_steps=4, evaluate_steps=5, checkpoint_steps=6)
    made = {each.name: each for each in callbacks.build(training)}
    made["checkpoint"].begin(0)
    assert _acts(made["log"], 10, monkeypatch) == [4, 7, 8, 10], "at the end of a phase, too"
    assert _acts(made["label"], 9, monkeypatch) == [3, 6], "not where nothing is drawn any more"
    assert _acts(made["evaluate"], 10, monkeypatch) == [5, 10]
    assert _acts(made["checkpoint"], 10, monkeypatch) == [6, 10]
    assert [made["evaluate"].next(step) for step in (0, 4, 5)] == [5, 5, 10]


def test_zero_means_never(monkeypatch):
    training = _training()
    training.label_period = 0
    label = standard.Label(training)
    assert _acts(label, 5, monkeypatch) == [] and label.next(3) > 10**9


@pytest.mark.parametrize("stopping", [False, True])
def test_checkpoints_by_the_clock_and_before_it_stops(monkeypatch, stopping):
    now = [0.0]
    monkeypatch.setattr(standard.time, "monotonic", lambda: now[0])
    training = _training(checkpoint_steps=100, checkpoint_seconds=250.0)
    saved = []
    training.folder = types.SimpleNamespace(save=saved.append, likes=lambda step: False)
    callback = standard.Checkpoint(training)
    callback.begin(0)
    for step in range(1, 9):
        now[0] += 100.0
        callback(Moment(step, last=step == 8, stopping=stopping and step == 4))
    assert saved == ([3, 4, 7, 8] if stopping else [3, 6, 8])
