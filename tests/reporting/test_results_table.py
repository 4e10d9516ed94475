import numpy as np
import pytest

from gsda_tf.datasets import published
from gsda_tf.reporting.results_table import Mean, results_table


def _summary(method, seed, task, accuracy, **more):
    scores = {"score": "accuracy", "accuracy/target": accuracy, "target_per_class_accuracy": {}}
    return {"method": method, "seed": seed, "task": f"office31/{task}", **scores, **more}


def _markdown(table):
    return table.shown().markdown()


_ALL = ("A_W", "A_D", "W_A", "W_D", "D_A", "D_W")


def test_mean_and_deviation_over_seeds():
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 1, (3, 6))
    summaries = [_summary("gsda", s, t, values[s, i]) for s in range(3) for i, t in enumerate(_ALL)]
    table = results_table("office31", _ALL, _ALL, ["gsda"], summaries)
    assert table.columns == ("A→W", "D→W", "W→D", "A→D", "D→A", "W→A", "Avg")  # the paper's order
    cells = table.measured[0].cells
    a_w = 100 * values[:, 0]
    assert (cells[0].mean, cells[0].deviation) == pytest.approx((a_w.mean(), a_w.std(ddof=1)))
    averages = 100 * values.mean(axis=1)
    assert (cells[-1].mean, cells[-1].deviation) == pytest.approx((averages.mean(), averages.std(ddof=1)))


def test_an_average_is_only_of_seeds_with_all_tasks():
    summaries = [_summary("gsda", 0, t, 0.5) for t in _ALL] + [_summary("gsda", 1, "A_W", 0.9)]
    cells = results_table("office31", _ALL, _ALL, ["gsda", "domain"], summaries).measured
    assert cells[0].cells[0].seeds == 2 and cells[0].cells[-1] == Mean(50.0, None, 1)
    assert cells[1].cells == (None,) * 7
    text = _markdown(results_table("office31", _ALL, _ALL, ["gsda", "domain"], summaries))
    assert "50.0 (1 of 2)" in text and "70.0 ± 28.3" in text


def test_part_of_the_tasks_is_set_beside_the_same_part():
    summaries = [_summary("gsda", 0, t, 0.9) for t in ("A_W", "A_D")]
    table = results_table("office31", ("A_W", "A_D"), _ALL, ["gsda"], summaries)
    assert table.columns == ("A→W", "A→D", "Avg of these")
    paper = next(row for row in table.published if [c.mean for c in row.cells[:2]] == [95.7, 94.8])
    assert paper.cells[-1].mean == pytest.approx((95.7 + 94.8) / 2)
    assert all(row.cells[0] for row in table.published)  # rows of which only an average of all tasks is known are out


def test_one_task_needs_no_average():
    table = results_table("office31", ["A_W"], _ALL, ["gsda"], [_summary("gsda", 0, "A_W", 0.9)])
    assert table.columns == ("A→W",)
    assert table.measured[0].cells == (Mean(90.0),) and all(len(row.cells) == 1 for row in table.published)


def test_by_class_where_the_benchmark_has_one_task():
    classes = published.columns("visda2017")
    per_class = dict(zip(reversed(classes), np.linspace(0.1, 0.9, 12)))
    summary = {
        "method": "gsda", "seed": 0, "task": "visda2017/Sy_Re", "score": "mean_class_accuracy",
        "accuracy/target_mean_class": 0.5, "accuracy/target": 0.6, "target_per_class_accuracy": per_class,
    }  # fmt: skip
    table = results_table("visda2017", ("Sy_Re",), ("Sy_Re",), ["gsda"], [summary])
    assert table.columns == (*classes, "Avg")
    cells = table.measured[0].cells
    assert cells[0].mean == pytest.approx(90) and cells[-1].mean == pytest.approx(50)


def test_published_numbers_are_told_apart():
    summaries = [_summary("gsda", 0, t, 0.9) for t in _ALL]
    table = results_table("office31", _ALL, _ALL, ["gsda"], summaries)
    ours, theirs = table.shown().markdown(), table.shown_others().markdown()
    assert "90.0" in ours and "89.7" not in ours
    assert "*89.7*" in theirs and " 90.0 " not in theirs


def test_bold_is_what_more_than_the_seeds_explain():
    """95.5 over 95.3 with two seeds is not better; ten points in each of three seeds are."""
    values = {"domain": (0.951, 0.955), "gsda": (0.950, 0.960)}
    summaries = [_summary(m, s, "A_W", v) for m, seeds in values.items() for s, v in enumerate(seeds)]
    table = results_table("office31", ["A_W"], _ALL, list(values), summaries)
    assert table.best == (None,) and "**9" not in _markdown(table)
    values = {"domain": (0.80, 0.85, 0.75), "gsda": (0.91, 0.95, 0.86)}
    summaries = [_summary(m, s, "A_W", v) for m, seeds in values.items() for s, v in enumerate(seeds)]
    table = results_table("office31", ["A_W"], _ALL, list(values), summaries)
    assert table.best == (1,) and "**90.7 ± 4.5**" in _markdown(table)


def test_no_number_without_target_labels():
    summary = _summary("gsda", 0, "A_W", None)
    assert results_table("office31", _ALL, _ALL, ["gsda"], [summary]).measured[0].cells == (None,) * 7
