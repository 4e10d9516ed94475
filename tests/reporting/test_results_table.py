import numpy as np

from gsda_tf.datasets import published
from gsda_tf.reporting.results_table import results_tables


def _summary(method, seed, task, accuracy, **more):
    scores = {"score": "accuracy", "accuracy/target": accuracy, "target_per_class_accuracy": {}}
    return {"method": method, "seed": seed, "task": f"office31/{task}", **scores, **more}


def _cells(table):
    """What stands in each row, without the title."""
    return [[str(cell) for cell in row[1:]] for row in table.rows]


_ALL = ("A_W", "A_D", "W_A", "W_D", "D_A", "D_W")


def test_mean_and_deviation_over_seeds():
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 1, (3, 6))
    summaries = [_summary("gsda", s, t, values[s, i]) for s in range(3) for i, t in enumerate(_ALL)]
    table, _ = results_tables("office31", _ALL, ["gsda"], summaries)
    assert list(table.head) == ["method", "A→W", "D→W", "W→D", "A→D", "D→A", "W→A", "Avg"]  # the paper's order
    (row,) = _cells(table)
    a_w, averages = 100 * values[:, 0], 100 * values.mean(axis=1)
    assert row[0] == f"{a_w.mean():.1f} ± {a_w.std(ddof=1):.1f}"
    assert row[-1] == f"{averages.mean():.1f} ± {averages.std(ddof=1):.1f}"


def test_an_average_is_only_of_seeds_with_all_tasks():
    summaries = [_summary("gsda", 0, t, 0.5) for t in _ALL] + [_summary("gsda", 1, "A_W", 0.9)]
    table, _ = results_tables("office31", _ALL, ["gsda", "domain"], summaries)
    assert _cells(table) == [["70.0 ± 28.3", *["50.0 (1 of 2)"] * 6], ["–"] * 7]


def test_part_of_the_tasks_is_set_beside_the_same_part():
    summaries = [_summary("gsda", 0, t, 0.9) for t in ("A_W", "A_D")]
    table, others = results_tables("office31", ("A_W", "A_D"), ["gsda"], summaries)
    assert list(table.head) == ["method", "A→W", "A→D", "Avg of these"]
    (paper,) = (row for row in others.rows if row[1:3] == ("95.7", "94.8"))
    assert paper[3] == f"{(95.7 + 94.8) / 2:.1f}"
    assert all("–" not in row for row in others.rows)  # not those of an average alone


def test_one_task_needs_no_average():
    table, others = results_tables("office31", ["A_W"], ["gsda"], [_summary("gsda", 0, "A_W", 0.9)])
    assert table.head == ("method", "A→W") and _cells(table) == [["90.0"]]
    assert others.head == ("published method", "A→W", "from")


def test_by_class_where_the_benchmark_has_one_task():
    classes = published.columns("visda2017")
    per_class = dict(zip(reversed(classes), np.linspace(0.1, 0.9, 12)))
    summary = {
        "method": "gsda", "seed": 0, "task": "visda2017/Sy_Re", "score": "mean_class_accuracy",
        "accuracy/target_mean_class": 0.5, "accuracy/target": 0.6, "target_per_class_accuracy": per_class,
    }  # fmt: skip
    table, _ = results_tables("visda2017", ("Sy_Re",), ["gsda"], [summary])
    assert list(table.head) == ["method", *classes, "Avg"]
    (row,) = _cells(table)
    assert row[0] == "90.0" and row[-1] == "50.0"


def test_published_numbers_are_told_apart():
    summaries = [_summary("gsda", 0, t, 0.9) for t in _ALL]
    table, others = results_tables("office31", _ALL, ["gsda"], summaries)
    ours, theirs = table.markdown(), others.markdown()
    assert "90.0" in ours and "89.7" not in ours
    assert "*89.7*" in theirs and " 90.0 " not in theirs


def test_bold_is_what_more_than_the_seeds_explain():
    """95.5 over 95.3 with two seeds is not better; ten points in each of three seeds are."""
    values = {"domain": (0.951, 0.955), "gsda": (0.950, 0.960)}
    summaries = [_summary(m, s, "A_W", v) for m, seeds in values.items() for s, v in enumerate(seeds)]
    table, _ = results_tables("office31", ["A_W"], list(values), summaries)
    assert "**9" not in table.markdown()
    values = {"domain": (0.80, 0.85, 0.75), "gsda": (0.91, 0.95, 0.86)}
    summaries = [_summary(m, s, "A_W", v) for m, seeds in values.items() for s, v in enumerate(seeds)]
    table, _ = results_tables("office31", ["A_W"], list(values), summaries)
    assert "**90.7 ± 4.5**" in table.markdown() and "**80" not in table.markdown()


def test_no_number_without_target_labels():
    summary = _summary("gsda", 0, "A_W", None)
    assert _cells(results_tables("office31", _ALL, ["gsda"], [summary])[0]) == [["–"] * 7]
