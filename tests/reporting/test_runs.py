import numpy as np
import pytest

from gsda_tf.errors import UserError
from gsda_tf.reporting.runs import load_run
from tests.reporting import runs


def test_a_finished_run_is_read_whole(tmp_path):
    run = load_run(runs.write(tmp_path))
    assert (run.task, run.step, run.score_key) == ("digits/Fo_Ha", 40, "accuracy/target")
    assert run.class_names == runs.CLASSES and run.groups == (runs.CLASSES[:2], runs.CLASSES[2:])
    assert run.labelled


def test_features_go_with_the_labels_of_their_images(tmp_path):
    run = load_run(runs.write(tmp_path))
    _, target = run.features()
    np.testing.assert_array_equal(run.feature_labels[1], run.target_labels[::2])
    # Features lie around the centre of their true class, 8 on the class's own axis.
    np.testing.assert_array_equal(target[:, :4].argmax(axis=1), run.feature_labels[1])


def test_a_run_that_is_going_has_features_from_before_only(tmp_path):
    run = load_run(runs.write(tmp_path, "going"))
    assert run.summary is None and run.step == 20
    assert run.features() is None
    assert len(run.features(before=True)[1]) == 30 and (run.feature_labels[1] == -1).all()
    assert run.probabilities is None and not run.labelled


def test_no_run_and_a_damaged_one(tmp_path):
    with pytest.raises(UserError, match=r"holds no run: expected settings\.json"):
        load_run(str(tmp_path))
    workdir = runs.write(tmp_path / "run")
    (tmp_path / "run" / "evaluation.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError, match=r"evaluation\.npz cannot be read"):
        load_run(workdir)
