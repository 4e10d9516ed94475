import json
import os
from concurrent import futures

import pytest

from gsda_tf.errors import UserError
from gsda_tf.sweeps import sweep, trials
from gsda_tf.workers import Ended, LocalPool
from tests.runs.made import SUMMARY


def _plan(out, **given):
    return trials.plan("digits", ["Fo_Ha"], ["source_only", "gsda"], [0, 1], {"steps": 7, **given}, str(out))


def _finish(run, **changes):
    os.makedirs(run.workdir, exist_ok=True)
    summary = {**SUMMARY, "settings": {**run.settings.flat(), **changes}}
    with open(os.path.join(run.workdir, "summary.json"), "w") as file:
        json.dump(summary, file)


def test_plan_is_every_method_and_seed_with_all_flags(tmp_path):
    runs = _plan(tmp_path, num_groups=(4, 2), freeze_backbone=False)
    assert [(r.settings.method.method, r.settings.run.seed) for r in runs] == [
        ("source_only", 0), ("gsda", 0), ("source_only", 1), ("gsda", 1),
    ]  # fmt: skip
    assert len({r.workdir for r in runs}) == 4
    assert {"--steps=7", "--num_groups=4,2", "--nofreeze_backbone", "--task=digits/Fo_Ha", "--seed=0"} <= set(
        runs[1].arguments
    )
    assert not any("num_groups" in argument for argument in runs[0].arguments)  # source only has no groups


def test_a_grid_is_a_row_of_each_value_for_methods_that_have_the_setting(tmp_path):
    grid = trials.parse_grid(["beta:0,10", "learning_rate:0.1,0.01"])
    runs = trials.plan("digits", ["Fo_Ha"], ["source_only", "gsda"], [0], {}, str(tmp_path), grid)
    assert [run.method for run in runs] == [
        "source_only learning_rate=0.1", "source_only learning_rate=0.01",
        "gsda beta=0 learning_rate=0.1", "gsda beta=0 learning_rate=0.01",
        "gsda beta=10 learning_rate=0.1", "gsda beta=10 learning_rate=0.01",
    ]  # fmt: skip
    assert runs[-1].settings.options.beta == 10 and runs[-1].settings.optimization.learning_rate == 0.01
    assert {"--beta=10.0", "--learning_rate=0.01", "--task=digits/Fo_Ha"} <= set(runs[-1].arguments)
    assert len({run.workdir for run in runs}) == 6


def test_both_recipes_are_rows(tmp_path):
    grid = trials.parse_grid(["recipe:default,paper"])
    ours, paper = trials.plan("digits", ["Fo_Ha"], ["gsda"], [0], {}, str(tmp_path), grid)
    assert (ours.method, paper.method) == ("gsda recipe=default", "gsda recipe=paper")
    assert ours.settings.options.adversarial_weight == 1 and paper.settings.options.adversarial_weight == 3


def test_a_grid_of_numbers_words_and_switches():
    texts = ["num_groups:2,3", "extractor:small_cnn,resnet50", "freeze_backbone:true,false", "steps:5,5"]
    assert trials.parse_grid(texts) == {
        "num_groups": ((2,), (3,)),
        "extractor": ("small_cnn", "resnet50"),
        "freeze_backbone": (True, False),
        "steps": (5,),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [("beta", "NAME:VALUE"), ("beta:", "NAME:VALUE"), ("beta:1,x", "NAME:VALUE"), ("betta:1", "Did you mean 'beta'"),
     ("seed:1,2", "Unknown setting 'seed'"), ("freeze_backbone:maybe", "NAME:VALUE")],
)  # fmt: skip
def test_says_what_is_wrong_with_a_grid(text, said):
    with pytest.raises(UserError, match=said):
        trials.parse_grid([text])


def test_all_tasks_by_default(tmp_path):
    tasks = {r.settings.data.task for r in trials.plan("office31", [], ["gsda"], [0], {}, str(tmp_path))}
    assert len(tasks) == 6


def test_done_means_complete_and_with_equal_settings(tmp_path):
    run = _plan(tmp_path)[0]
    assert run.summary() is None
    _finish(run)
    assert run.summary() is not None
    _finish(run, learning_rate=0.5)
    assert run.summary() is None
    _finish(run, checkpoint_steps=3, report=True)  # changes nothing that is computed
    assert run.summary() is not None
    _finish(run)
    with open(os.path.join(run.workdir, "summary.json")) as file:
        summary = json.load(file)
    del summary["settings"]["extractor"]
    with open(os.path.join(run.workdir, "summary.json"), "w") as file:
        json.dump(summary, file)
    assert run.summary() is None
    with open(os.path.join(run.workdir, "summary.json"), "a") as file:
        file.write("cut off {")
    assert run.summary() is None


def test_steps_done_are_read_from_a_log_that_is_being_written(tmp_path):
    run = _plan(tmp_path)[0]
    assert run.steps_done() == 0
    os.makedirs(run.workdir)
    with open(os.path.join(run.workdir, "metrics.jsonl"), "w") as file:
        file.writelines(json.dumps({"step": step, "x": "y" * 500}) + "\n" for step in range(100))
        file.write('{"st')
    assert run.steps_done() == 99


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda out: trials.plan("office13", [], ["gsda"], [0], {}, out), "office31"),
        (lambda out: trials.plan("digits", ["Fo_Fo"], ["gsda"], [0], {}, out), "Fo_Ha"),
        (lambda out: trials.plan("digits", [], ["gdsa"], [0], {}, out), "gsda"),
        (lambda out: trials.plan("digits", [], ["gsda"], [0], {"beta": 3.0}, out, {"beta": (1.0,)}), "--grid"),
        (
            lambda out: trials.plan("digits", [], ["gsda"], [0], {"pipeline": "lists"}, out),
            "is for --pipeline=benchmark",
        ),
        (lambda out: trials.plan("digits", [], ["source_only"], [0], {}, out, {"beta": (1.0,)}), "option of"),
        (lambda out: trials.own_data({"steps": 3}), "--benchmark is missing"),
        (lambda out: trials.own_data({"pipeline": "folders", "source_dir": out}), "target_dir"),
    ],
)
def test_wrong_names_are_told(tmp_path, call, message):
    with pytest.raises(UserError, match=message):
        call(str(tmp_path))


def test_finished_runs_are_not_started(tmp_path, monkeypatch):
    runs = _plan(tmp_path)
    for run in runs:
        _finish(run)
    pool = LocalPool(2)
    monkeypatch.setattr(pool, "submit", None)  # starting anything would fail
    assert sweep.execute(runs, pool, str(tmp_path)) == []


class _Failing:
    """A pool whose runs all end at once, with exit code 2."""

    width = 1

    def submit(self, task):
        future = futures.Future()
        future.set_result(Ended(2, "Unknown flag --no_such_flag."))
        return future


def test_a_failure_is_listed_with_its_reason_and_the_rest_goes_on(tmp_path):
    runs = _plan(tmp_path)
    for run in runs[2:]:
        _finish(run)
    seen = []
    failures = sweep.execute(runs, _Failing(), str(tmp_path), lambda: seen.append(1))
    assert [failure.run for failure in failures] == runs[:2] and seen == [1, 1]
    assert failures[0].reason == "Unknown flag --no_such_flag. (exit code 2)"
    assert os.path.dirname(failures[0].log) == str(tmp_path / "logs") and failures[0].log != failures[1].log


def test_what_is_named_twice_runs_once(tmp_path):
    runs = trials.plan("digits", ["Fo_Ha"] * 2, ["gsda"] * 2, [0, 0], {}, str(tmp_path))
    assert len(runs) == 1


class _Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_the_time_left_keeps_starts_and_methods_apart(tmp_path):
    """Source only: 10 s of features and imports, then 1 s a step; GSDA: 4 s of imports, then 3 s a step."""
    plain, gsda, plain2, gsda2 = _plan(tmp_path, steps=100)
    clock = _Clock()
    forecast = sweep.Forecast(1, clock)
    assert forecast.left([plain, gsda, plain2, gsda2], []) is None
    forecast.begun(plain)
    for clock.now, steps in ((10.0, 10), (60.0, 60)):
        forecast.seen(plain, steps)
    assert forecast.left([gsda, plain2, gsda2], [plain]) == 40 + 3 * (10 + 100)  # nothing else is known yet
    clock.now = 101.0
    forecast.ended(plain)
    forecast.begun(gsda)
    for clock.now, steps in ((105.0, 1), (108.0, 2), (111.0, 3)):
        forecast.seen(gsda, steps)
    clock.now = 112.0
    pace = 91 / 90  # with the evaluation at the end
    assert forecast.left([plain2, gsda2], [gsda]) == pytest.approx(97 * 3 - 1 + (4 + 100 * pace) + (4 + 300))


def test_the_time_left_is_shared_by_runs_at_the_same_time(tmp_path):
    plain, gsda, plain2, _ = _plan(tmp_path, steps=100)
    clock = _Clock()
    forecast = sweep.Forecast(2, clock)
    forecast.begun(plain)
    for clock.now, steps in ((5.0, 0), (10.0, 10), (20.0, 20)):
        forecast.seen(plain, steps)
    assert forecast.left([gsda, plain2], [plain]) == (80 + 2 * 110) / 2
    assert forecast.left([], [plain]) == 80  # one run has no half


def test_features_that_the_first_run_computes_are_not_expected_of_the_others(tmp_path):
    plain, *others = _plan(tmp_path, steps=100)
    clock = _Clock()
    forecast = sweep.Forecast(1, clock)
    forecast.begun(plain)
    for clock.now, steps in ((600.0, 10), (610.0, 60)):
        forecast.seen(plain, steps)
    assert forecast.left(others, [plain]) == pytest.approx(8 + 3 * (10 + 20))


def test_a_folder_of_logs_that_leads_elsewhere_is_refused(tmp_path):
    os.symlink("/tmp", tmp_path / "logs")
    with pytest.raises(UserError, match="is a symbolic link"):
        sweep.execute(_plan(tmp_path), None, str(tmp_path))


def test_a_log_that_is_a_pipe_is_not_waited_for(tmp_path):
    run = _plan(tmp_path)[0]
    os.makedirs(run.workdir)
    os.mkfifo(os.path.join(run.workdir, "metrics.jsonl"))
    assert run.steps_done() == 0


def test_what_an_unlabelled_sweep_can_tell_is_said_before(tmp_path):
    runs = _plan(tmp_path)
    _finish(runs[0])
    labelled, unlabelled = (trials.outlook(runs, 2, "out", labelled) for labelled in (True, False))
    assert labelled == ["4 runs, 1 finished before, 2 at a time, in out"]
    assert "cannot tell which method is right" in unlabelled[1]
