from gsda_tf.evaluation import selection


def test_evaluations_are_told_from_other_lines():
    lines = [
        {"step": 5, "alignment/domain": 1.0, "score/a_distance": 0.0},
        {"step": 0, "accuracy/source": 1.0},
        {"step": 10, "accuracy/source": 0.9},
        {"step": 20, "accuracy/target": 0.8},
    ]
    assert selection.evaluations(lines) == lines[2:], "without a source there is no accuracy on it"
