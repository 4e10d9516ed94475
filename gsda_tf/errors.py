"""Errors that are meant to be read by the person who runs the tool."""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
from collections.abc import Iterable, Iterator
from typing import Any

COMMANDS = "gsda_tf.launch" if importlib.util.find_spec("gsda_tf.launch") else "launch"
"""The package of the commands: installed, it is one of this package's; in a checkout it lies beside."""

STOPPED = 75
"""Exit code, EX_TEMPFAIL: nothing is wrong here, and the same command goes on from what is on disk."""


class UserError(Exception):
    """Something the user can mend: a flag, a file, a data set, the disk.

    The message is one line that says what was found, what was expected and what to do. Commands print it
    without a stack trace and exit with `exit_code`.
    """

    exit_code = 2


class DataError(UserError):
    """The images, labels or lists are not what the task needs."""


class TrainingError(UserError):
    """Training cannot go on: a loss or gradient that is not finite, a checkpoint of another run."""

    exit_code = 3


class NotFiniteError(TrainingError):
    """Numbers of a network are not finite.

    Args:
      what: as the message names it.
      step: of the weights, where it is known.
    """

    def __init__(self, what: str, step: int | None = None):
        when = "" if step is None else f" at step {step}"
        super().__init__(
            f"Not finite{when}: {what}. Training stopped. Try a smaller --learning_rate, a smaller "
            "--adversarial_weight, or --precision=float32."
        )


class BusyError(TrainingError):
    """Another process has the run at work; when that has ended, this one may go on."""

    exit_code = STOPPED


class DiskError(UserError):
    """The disk is full, or a folder cannot be written. What was written before is whole."""

    exit_code = 74  # EX_IOERR


class WorkerLostError(TrainingError):
    """Another worker of the run does not answer any more; started again, all go on from the last checkpoint."""

    exit_code = STOPPED


_NO_MEMORY = "ResourceExhaustedError"
"""TensorFlow's error; messages do not wait for TensorFlow to be imported."""


@contextlib.contextmanager
def explained(what: str, todo: str, kinds: Any = Exception, error: type[UserError] = UserError) -> Iterator[None]:
    """Tells in one sentence what went wrong with something that the user gave, whatever library said so.

    Args:
      what: went wrong, as the message begins: "--extractor=FILE.keras was not loaded".
      todo: what is expected, or to be done; a sentence.
      kinds: errors that are meant, a class or several; by default all, but memory that is used up.
      error: to be raised.

    Raises:
      UserError: `error` in place of these; one that is raised inside, and not among `kinds`, as it is.
    """
    try:
        yield
    except kinds as found:
        if kinds is Exception and (isinstance(found, (UserError, MemoryError)) or _NO_MEMORY in str(type(found))):
            raise
        said = " ".join(str(found).split())[:300].rstrip(".") or type(found).__name__
        raise error(f"{what}: {said}. {todo}") from found


def shown(text: str) -> str:
    """Returns text on one line, as messages and pages show it: control characters, and no Unicode, are escaped."""
    # All at once where it can be: a page's pictures are text of a million characters.
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


_LISTED = 36
"""A message lists at most this many choices, as many as a benchmark has tasks; of more it names those most alike."""


def nearest(value: str, choices: Iterable[str]) -> str:
    """ " Did you mean 'x'?" for the choice that is most like `value`; "" if none is."""
    near = difflib.get_close_matches(value, list(choices), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def choose(what: str, value: str, choices: Iterable[str]) -> str:
    """Returns `value` if it is one of `choices`.

    Args:
      what: what is being chosen, as the message names it ("method", "benchmark").
      value: what the user gave.
      choices: the right names.

    Raises:
      UserError: naming the choices and, if one is close, the nearest.
    """
    choices = list(choices)
    if value in choices:
        return value
    listed = ", ".join(choices)
    if len(choices) > _LISTED:
        like = difflib.get_close_matches(value, choices, n=6, cutoff=0.3) or choices[:6]
        listed = f"{', '.join(like)}, ... ({len(choices)} are known)"
    raise UserError(f"Unknown {what} {value!r}: expected one of {listed}.{nearest(value, choices)}")
