"""What is said of errors that a library raises."""

import pytest
import tensorflow as tf

from gsda_tf.errors import DataError, TrainingError, UserError, explained


def test_what_a_library_says_is_told_in_one_sentence():
    with pytest.raises(TrainingError) as told, explained("--x=1 was not read", "Give 2.", error=TrainingError):
        raise OSError("no such\n  file.")
    assert str(told.value) == "--x=1 was not read: no such file. Give 2."
    with pytest.raises(UserError, match=r"^a: KeyError\. b$"), explained("a", "b"):
        raise KeyError
    with pytest.raises(UserError, match=r"^a: x{300}\. b$"), explained("a", "b"):
        raise ValueError("x" * 5000)


@pytest.mark.parametrize(
    "error",
    [DataError("mine"), MemoryError(), tf.errors.ResourceExhaustedError(None, None, "full"), KeyboardInterrupt()],
)
def test_what_is_told_already_and_what_is_no_fault_of_a_file_passes(error):
    with pytest.raises(type(error)) as raised, explained("a", "b"):
        raise error
    assert raised.value is error


def test_only_the_kinds_that_are_meant():
    with pytest.raises(ZeroDivisionError), explained("a", "b", (ValueError, OSError)):
        1 / 0  # noqa: B018
    with pytest.raises(UserError, match=r"^a: one\. b$"), explained("a", "b", UserError):
        raise DataError("one")
