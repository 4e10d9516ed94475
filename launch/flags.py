"""Flags from settings: one flag a setting, with the setting's help, and errors for people."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import gc
import os
import re
import signal
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import app, flags, logging

from gsda_tf import interruption
from gsda_tf import settings as settings_lib
from gsda_tf.errors import STOPPED, DiskError, TrainingError, UserError, nearest, shown
from gsda_tf.files import FULL

_MOST, _END = 1600, 600
"""Characters of the longest message, and of its end where it is cut."""


def define(names: Sequence[str] | None = None, pool: bool = False) -> None:
    """Defines a flag for every setting, or for those named; with `pool`, for what `--method=auto` takes besides. Unset
    flags are None, so that recipes' values hold unless the user says otherwise. Options of methods follow with the
    command line, as TensorFlow takes seconds to load."""
    for field in (*settings_lib.fields(), *(dataclasses.fields(settings_lib.PoolSettings) if pool else ())):
        if names is None or field.name in names:
            _define(field)


def _define(field: dataclasses.Field) -> None:
    if field.name in flags.FLAGS:  # one process may import several commands
        return
    _DEFINED[field.name] = field
    # What is given is text until `given` converts it.
    texts, truth = flags.ArgumentParser(), isinstance(field.default, bool)
    flags.DEFINE_flag(flags.Flag(texts, None, field.name, None, field.metadata["help"], boolean=truth))


_DEFINED: dict[str, dataclasses.Field] = {}
"""Settings that are flags of this process."""


def _define_options(argv: Sequence[str]) -> None:
    """A flag for each option of a method, and of that of --method=FILE.py:Name, which is run for it.

    Raises:
      UserError: there is no such method.
    """
    if "steps" not in flags.FLAGS:
        return  # this command trains nothing
    loading()
    gc.disable()  # nothing of what is imported is garbage: looking through it again and again took a fifth of the time
    from gsda_tf import methods

    gc.enable()
    named = (re.fullmatch(r"--?method=(.*:.*)", argument, re.DOTALL) for argument in argv)
    own = (field for name in named if name for field in dataclasses.fields(methods.options_of(name[1])))
    for field in (*methods.all_options().values(), *own):
        _define(field)


def loading() -> None:
    """Says that TensorFlow is being loaded, before the seconds that it takes."""
    if "tensorflow" not in sys.modules:
        say("Loading TensorFlow ...")


def say(what: str) -> None:
    """Tells on stderr what is being done or is next; stdout is the result alone."""
    print(what, file=sys.stderr, flush=True)


def define_workers() -> None:
    """Defines `--scheduler`, `--jobs` and `--threads`, of the commands whose work may be shared."""
    address = "a Dask scheduler to run on, such as tcp://host:8786; local: one of our own"
    flags.DEFINE_string("scheduler", "", address, allow_override=True)
    flags.DEFINE_integer("jobs", 1, "runs at the same time, or workers of our own", 1, 1024, allow_override=True)
    flags.DEFINE_integer("threads", 0, "threads of each; 0: its share of the cores", 0, 1024, allow_override=True)


def define_step() -> None:
    """Defines `--step`, of the commands that take a run's checkpoint."""
    flags.DEFINE_integer("step", None, "step of the checkpoint (default: the newest)", 1, allow_override=True)


def define_asked() -> None:
    """Defines `--model` and `--images`, of the commands that ask an export about images."""
    told = "image, folder, pattern with * or ?, or a file with one path a line"
    flags.DEFINE_string("model", "", "export: a version's folder, or the folder of versions", allow_override=True)
    flags.DEFINE_string("images", "", told, allow_override=True)


def need_asked() -> None:
    """Raises UserError if `--model` or `--images` was not given."""
    for name in ("model", "images"):
        if not flags.FLAGS[name].value:
            raise UserError(f"--{name} is missing: give --model=EXPORT and --images=DIR, new images.")


def given() -> dict[str, Any]:
    """The settings that the user gave, by name.

    Raises:
      UserError: a value of another kind or out of range.
    """
    return settings_lib.converted({name: flags.FLAGS[name].value for name in _DEFINED}, _DEFINED.values())


def run_folder() -> tuple[str, dict[str, Any]]:
    """Returns the folder of a run that a command needs, `--workdir`, and what else `given` holds.

    Raises:
      UserError: it was not given.
    """
    values = given()
    if not values.get("workdir"):
        raise UserError("--workdir is missing: give the folder of a run, such as runs/digits/Fo_Ha/gsda/seed0.")
    return values.pop("workdir"), values


def show(rows: Iterable[tuple[str, Any]]) -> None:
    """Prints names, and what there is to say of each beside it."""
    rows, width = list(rows), max(len(name) for name, _ in rows)
    print("\n" + "\n".join(f"  {name:<{width}}  {value}" for name, value in rows))


def run(main: Callable[[], int | None]) -> None:
    """Runs a command: flags parsed, a user's mistake told in one line with an exit code of its own, no stack trace.

    SIGTERM is heard like Ctrl-C: whatever is being written aside is removed, and the process ends with `STOPPED`,
    whatever is raised in the end. A terminal that is lost is heard like SIGTERM.
    """

    def hang_up(number, frame):
        for stream in (1, 2):
            if stat.S_ISCHR(os.fstat(stream).st_mode):  # writing to a terminal that is gone fails
                _silence(stream)
        signal.raise_signal(signal.SIGTERM)

    def guarded(argv: Sequence[str]) -> int:
        logging.set_verbosity(logging.ERROR)
        sys.stdout.reconfigure(line_buffering=True)  # a log is read while it grows
        loading()
        interruption.listen()
        if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # it is ignored under nohup
            signal.signal(signal.SIGHUP, hang_up)
        atexit.register(gc.freeze)  # nor does anybody look for it at the end, when all goes
        return call(main, argv)

    app.run(guarded, flags_parser=parse)


def call(main: Callable[[], int | None], argv: Sequence[str]) -> int:
    """Calls a command whose flags are parsed.

    Args:
      main: of the command.
      argv: what parsing left over, the program's name first.

    Returns:
      The exit code.
    """
    try:
        if len(argv) > 1:
            raise UserError(f"Unexpected argument {argv[1]!r}: flags are written --name=value.")
        return main() or 0
    except BaseException as error:
        if isinstance(error, UserError):
            _tell(error)
        if isinstance(error, (KeyboardInterrupt, interruption.Interrupted)) or interruption.heard():
            step = f" at step {error}, checkpointed" if isinstance(error, interruption.Interrupted) else ""
            say(f"Stopped{step}. The same command goes on from what is on disk.")
            return STOPPED
        if isinstance(error, UserError):
            return error.exit_code
        if isinstance(error, OSError) and error.errno in FULL:  # writing what is said, to a file
            _tell(f"No space left on the disk: {error}. Make room and run the same command again.")
            _silence(1)  # what could not be written would be tried again
            return DiskError.exit_code
        tf = sys.modules.get("tensorflow")  # if it was never imported, the error is not its own
        if not isinstance(error, (MemoryError, *([tf.errors.ResourceExhaustedError] if tf else []))):
            raise
        reason = next(iter(str(error).splitlines()), "")[:200]
        _tell(
            f"Out of memory ({reason or type(error).__name__}): try smaller batches or networks, such as a smaller "
            "--source_batch, --target_batch, --evaluation_batch, or --batch. Checkpoints that were written are kept."
        )
        return TrainingError.exit_code


def parse(argv: list[str]) -> list[str]:
    """Parses the command line, where --learning-rate is --learning_rate; help, and with one line a flag that cannot be
    used, end the process.

    Returns:
      What is no flag, the program's name first.
    """
    from . import help

    wanted = help.asked(argv)
    if wanted:
        print(help.text(_command(), wanted == "all"), flush=True)
        sys.exit(0)
    try:
        _define_options(argv[1:])
        return flags.FLAGS([argv[0], *map(_as_meant, argv[1:])])
    except flags.UnrecognizedFlagError as error:
        hint = nearest(f"--{error.flagname}", (f"--{name}" for name in flags.FLAGS))
        _tell(f"Unknown flag --{error.flagname}.{hint} `{_command()} --help=all` lists all flags.")
    except (flags.Error, UserError) as error:
        _tell(error)
    sys.exit(UserError.exit_code)


def _as_meant(argument: str) -> str:
    """A flag by its name, with `~` expanded, which a shell does at the start of a word alone."""
    name, equals, value = argument.partition("=")
    home = os.path.expanduser(value) if value.startswith("~") else value
    return f"{name[:2]}{name[2:].replace('-', '_')}{equals}{home}" if name.startswith("--") else argument


def _tell(error: Exception | str) -> None:
    """One line, whatever the user's input that it quotes holds."""
    text = shown(str(error))
    if len(text) > _MOST:  # the end says what to do
        text = f"{text[: _MOST - _END]} [...] {text[-_END:]}"
    with contextlib.suppress(OSError):  # nobody hears it
        print(f"Error: {text}", file=sys.stderr, flush=True)


def _silence(stream: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def _command() -> str:
    name = getattr(sys.modules["__main__"].__spec__, "name", "")
    return f"python -m {name}" if name and not name.endswith("__main__") else sys.argv[0]
