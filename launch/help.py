"""Makes what `-h`, `--help` and `--help=all` print, from the settings, the methods' options and a command's own
flags."""

import dataclasses
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from absl import flags

from gsda_tf import settings as settings_lib

_SHARED = f"{__package__}.flags"
"""Where flags are defined that several commands have."""


def asked(argv: Sequence[str]) -> str:
    """ "" if the command line does not ask for help, else "short" or "all"."""
    given = [a for a in argv[1:] if a.partition("=")[0] in ("-h", "-help", "--help", "--helpshort", "--helpfull")]
    return "" if not given else "all" if given[0] in ("--help=all", "--helpfull") else "short"


def lines(line: str, everything: bool) -> Iterator[str]:
    """Help of a command; its short form ends with what takes seconds to find.

    Args:
      line: how it is called, such as "python -m launch.train" or "gsda train".
      everything: whether every flag is told, in the groups of the settings and under the methods.
    """
    command = line.replace(".", " ").split()[-1]
    module = f"{__package__}.{command}"
    about = sys.modules.get(module, sys.modules["__main__"]).__doc__ or ""
    for part in re.sub(r"python -m launch\.[a-z]+", line, about).strip().split("\n\n"):  # an indented one is an example
        yield from _wrapped(part, "    ", " \\") if part.startswith("    ") else _wrapped(part)
        yield ""
    settings = {field.name: field for field in settings_lib.fields()}
    inherited = [field for name, field in settings.items() if name in flags.FLAGS]
    by_module = flags.FLAGS.flags_by_module_dict()
    own = {flag.name: flag for name in (sys.argv[0], module, _SHARED) for flag in by_module.get(name, [])}
    # A flag that stands for a setting is told with the settings.
    own = [own[name] for name in sorted(own) if name not in settings]
    if own:
        yield f"Flags of {command}:"
        yield from _rows((flag.name, flag.default, flag.help) for flag in own)
        yield ""
    if len(inherited) < len(settings):
        yield "Settings of the run that it takes:" if own else "Flags:"
        yield from _fields(inherited)
    elif everything:
        yield from _groups()
        yield from _methods()
    else:
        swept = settings_lib.names("swept") if command == "sweep" else ()
        yield "Flags of every day:" if command == "train" else "Flags of train that it takes, of every day:"
        yield from _fields(settings[name] for name in settings_lib.names("everyday") if name not in swept)
        yield ""
        yield from _wrapped(f"All {len(inherited)} settings and the options of each method: {line} --help=all")
        from gsda_tf import methods

        yield from _wrapped(f"Methods: {', '.join(methods.method_names())}.")


def _groups() -> Iterator[str]:
    for group, section in vars(settings_lib.Settings()).items():
        if group != "options":
            yield f"{group.upper()}: {section.__doc__.splitlines()[0]}"
            yield from _fields(dataclasses.fields(section))
            yield ""


def _methods() -> Iterator[str]:
    """Each option under the first method that has it."""
    seen: set[str] = set()
    from gsda_tf import methods

    kinds = [(f"--method={name}", methods.get_method(name)) for name in methods.method_names()]
    kinds += [(f"--add={name}", *methods.get_terms([name])) for name in methods.term_names()]
    for name, kind in kinds:
        fields = {field.name: field for field in dataclasses.fields(kind.Options)}
        yield from _wrapped(f"{name}: {getattr(kind, 'title', '') or (kind.__doc__ or '').strip().splitlines()[0]}")
        yield from _fields(fields[name] for name in fields if name not in seen)
        if above := [f"--{name}" for name in fields if name in seen]:
            yield from _wrapped(f"and, as above, {', '.join(above)}", "    ")
        seen.update(fields)
        yield ""


def _fields(fields: Iterable[dataclasses.Field]) -> Iterator[str]:
    for field in fields:
        choices = field.metadata["choices"]
        told = f"{field.metadata['help']} ({', '.join(choices)})" if choices else field.metadata["help"]
        if field.default is True:
            told += f"; --no{field.name}: not so"
        yield from _rows([(field.name, field.default, told)])


def _rows(rows: Iterable[tuple[str, Any, str]]) -> Iterator[str]:
    """A flag with its default, and what it means beside it."""
    for name, default, told in rows:
        default = tuple(default) if isinstance(default, list) else default
        head = f"  {settings_lib.flag(name, None if isinstance(default, bool) else default)}"
        lines = _wrapped(told, " " * 32)
        if len(head) < 31:
            lines[0] = f"{head:<32}{lines[0].strip()}"
        else:
            yield head
        yield from lines


def _wrapped(text: str, indent: str = "", end: str = "") -> list[str]:
    width = min(shutil.get_terminal_size((100, 40)).columns, 110)
    lines = textwrap.wrap(
        " ".join(text.split()), max(width - len(end), 50), initial_indent=indent, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line + end for line in lines[:-1]] + lines[-1:]
