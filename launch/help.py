"""Makes what `-h`, `--help` and `--help=all` print, from the settings, the methods' options and a command's own
flags."""

from __future__ import annotations

import dataclasses
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from absl import flags

from gsda_tf import methods
from gsda_tf import settings as settings_lib

_SHARED = f"{__package__}.flags"
"""Where flags are defined that several commands have."""


def asked(argv: Sequence[str]) -> str:
    """ "" if the command line does not ask for help, else "short" or "all"."""
    for argument in argv[1:]:
        if argument == "--":
            break
        name, _, value = argument.partition("=")
        if name in ("-h", "-help", "--help", "--helpshort", "--helpfull"):
            return "all" if value == "all" or name == "--helpfull" else "short"
    return ""


def text(line: str, everything: bool) -> str:
    """Help of a command.

    Args:
      line: how it is called, such as "python -m launch.train" or "gsda train".
      everything: whether every flag is told, in the groups of the settings and under the methods.
    """
    command = line.replace(".", " ").split()[-1]
    module = f"{__package__}.{command}"
    about = sys.modules.get(module, sys.modules["__main__"]).__doc__ or ""
    about = re.sub(r"python -m launch\.[a-z]+", line, about)
    by_module = flags.FLAGS.flags_by_module_dict()
    own = sorted(
        (f for name in (sys.argv[0], module, _SHARED) for f in by_module.get(name, [])), key=lambda flag: flag.name
    )
    # A flag that stands for a setting is told with the settings.
    own = [flag for flag in own if flag.name not in {field.name for field in _settings()}]
    inherited = [field for field in settings_lib.fields() if field.name in flags.FLAGS]
    whole = len(inherited) == len(settings_lib.fields())
    lines = []
    for part in about.strip().split("\n\n"):  # an indented one is an example
        lines += [*(_wrapped(part, "    ", " \\") if part.startswith("    ") else _wrapped(part)), ""]
    if own:
        lines += [f"Flags of {command}:", *_rows((flag.name, _default(flag.default), flag.help) for flag in own), ""]
    if not whole:
        lines += ["Settings of the run that it takes:" if own else "Flags:", *_fields(inherited)]
    elif not everything:
        named, swept = {field.name: field for field in inherited}, settings_lib.names("swept")
        days = [name for name in settings_lib.names("everyday") if command != "sweep" or name not in swept]
        heading = "Flags of every day:" if command == "train" else "Flags of train that it takes, of every day:"
        lines += [heading, *_fields(named[name] for name in days), ""]
        lines += _wrapped(f"Methods: {', '.join(methods.method_names())}.")
        lines += _wrapped(f"All {len(inherited)} settings and the options of each method: {line} --help=all")
    else:
        lines += [*_groups(), *_methods()]
    return "\n".join(lines).rstrip() + "\n"


def _settings() -> Iterator[dataclasses.Field]:
    yield from settings_lib.fields()
    yield from methods.all_options().values()


def _groups() -> Iterator[str]:
    default = settings_lib.Settings()
    for group in dataclasses.fields(default):
        section = getattr(default, group.name)
        if dataclasses.fields(section) and type(section).__module__ == settings_lib.__name__:
            yield f"{group.name.upper()}: {(type(section).__doc__ or '').strip().splitlines()[0]}"
            yield from _fields(dataclasses.fields(section))
            yield ""


def _methods() -> Iterator[str]:
    """Each option under the first method that has it."""
    seen: set[str] = set()
    kinds = [(f"--method={name}", methods.get_method(name)) for name in methods.method_names()]
    kinds += [(f"--add={name}", *methods.get_terms([name])) for name in methods.term_names()]
    for name, kind in kinds:
        fields = dataclasses.fields(kind.Options)
        title = kind.title if hasattr(kind, "title") else (kind.__doc__ or "").strip().splitlines()[0]
        yield from _wrapped(f"{name}: {title}")
        yield from _fields(field for field in fields if field.name not in seen)
        above = [f"--{field.name}" for field in fields if field.name in seen]
        if above:
            yield from _wrapped(f"and, as above, {', '.join(above)}", "    ")
        seen.update(field.name for field in fields)
        yield ""


def _fields(fields: Iterable[dataclasses.Field]) -> Iterator[str]:
    for field in fields:
        choices = field.metadata["choices"]
        told = f"{field.metadata['help']} ({', '.join(choices)})" if choices else field.metadata["help"]
        if field.default is True:
            told += f"; --no{field.name}: not so"
        yield from _rows([(field.name, _default(field.default), told)])


def _default(value) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    return "=" + (",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))


def _rows(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """A flag with its default, and what it means beside it."""
    for name, default, told in rows:
        head = f"  --{name}{default}"
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
