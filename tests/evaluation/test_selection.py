import pytest

from gsda_tf.errors import UserError
from gsda_tf.evaluation import selection

_LINES = [
    {"step": 5, "alignment/domain": 1.0, "score/entropy": 0.0},
    {"step": 0, "accuracy/source": 1.0, "score/entropy": 0.0, "score/im": 9.0, "score/snd": 9.0},
    {"step": 10, "accuracy/source": 0.9, "accuracy/target": 0.5, "score/entropy": 0.3, "score/im": 1.0,
     "score/snd": 4.0, "score/a_distance": 1.0},
    {"step": 20, "accuracy/source": 0.8, "accuracy/target": 0.8, "score/entropy": 0.1, "score/im": 2.0,
     "score/snd": 3.0, "score/a_distance": None},
    {"step": 30, "accuracy/source": 0.9, "accuracy/target": 0.6, "score/entropy": 0.1, "score/im": 1.5,
     "score/snd": float("nan"), "score/a_distance": 1.5},
]  # fmt: skip


@pytest.mark.parametrize(
    "select, step",
    [("last", 30), ("entropy", 30), ("im", 20), ("snd", 10), ("a_distance", 10)],
)
def test_each_direction(select, step):
    assert selection.best(_LINES, select) == step


def test_the_choice_beside_the_last_and_the_oracles():
    told = selection.compare(_LINES, "im", 20)
    assert [told[name]["step"] for name in ("last", "selected", "oracle")] == [30, 20, 20]
    assert told["selected"]["accuracy/source"] == 0.8 and "never a result" in told["oracle"]["note"]
    unlabelled = selection.compare([{"step": 3, "accuracy/source": 0.5, "accuracy/target": None}], "last", 3)
    assert unlabelled["last"] == unlabelled["selected"] and unlabelled["oracle"] is None


def test_nothing_to_choose_from():
    with pytest.raises(UserError, match="No evaluation has"):
        selection.best([{"step": 3, "accuracy/source": 0.5}], "im")
    with pytest.raises(UserError, match="expected one of last, entropy"):
        selection.best(_LINES, "entropie")
