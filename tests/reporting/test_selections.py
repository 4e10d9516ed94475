import pytest

from gsda_tf.reporting.selections import ORACLE, compare_selections, selected_accuracies


def _run(accuracies, entropies):
    return [
        {"step": 10 * i, "accuracy/source": 0.9, "accuracy/target": a, "score/entropy": e}
        for i, (a, e) in enumerate(zip(accuracies, entropies), start=1)
    ]


def test_each_criterion_by_hand():
    found = selected_accuracies(_run([0.5, 0.8, 0.6], [0.3, 0.2, 0.1]))
    assert found == {"last": 0.6, "entropy": 0.6, "accuracy/source": 0.6, ORACLE: 0.8}
    found = selected_accuracies(_run([0.5, 0.8, 0.6], [0.1, 0.2, 0.3]))
    assert found["entropy"] == 0.5 and found["last"] == 0.6


def test_means_gaps_and_worst_over_runs():
    runs = [(_run([0.5, 0.8, 0.6], [0.1, 0.2, 0.3]), "accuracy/target"), (_run([0.2, 0.4], [2, 1]), "accuracy/target")]
    found = compare_selections(runs)
    assert found.runs == 2
    assert found.accuracy["entropy"] == pytest.approx((0.5 + 0.4) / 2)
    assert found.accuracy["last"] == pytest.approx((0.6 + 0.4) / 2)
    assert found.accuracy[ORACLE] == pytest.approx((0.8 + 0.4) / 2)
    assert found.worst["entropy"] == pytest.approx(0.3)
    assert found.worst[ORACLE] == 0


def test_without_target_labels_there_is_nothing_to_compare():
    lines = [{"step": 10, "accuracy/source": 0.9, "score/entropy": 0.1}]
    assert selected_accuracies(lines) is None
    assert compare_selections([(lines, "accuracy/target")]) is None
