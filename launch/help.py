"""What `-h`, `--help` and `--help=all` print, from the settings, the methods' options and a command's own flags."""

import argparse
import dataclasses
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

from absl import flags

from gsda_tf import settings as settings_lib

_SHARED = f"{__package__}.flags"
"""Where flags are defined that several commands have."""


def asked(argv: Sequence[str]) -> str:
    """ "" if the command line does not ask for help, else "short" or "all"."""
    given = [a for a in argv[1:] if a.partition("=")[0] in ("-h", "-help", "--help", "--helpshort", "--helpfull")]
    return "" if not given else "all" if given[0] in ("--help=all", "--helpfull") else "short"


def text(line: str, everything: bool) -> str:
    """Help of a command.

    Args:
      line: how it is called, such as "python -m launch.train" or "gsda train".
      everything: whether every flag is told, in the groups of the settings and under the methods.
    """
    command = line.replace(".", " ").split()[-1]
    module = f"{__package__}.{command}"
    about = sys.modules.get(module, sys.modules["__main__"]).__doc__ or ""
    width = min(shutil.get_terminal_size((100, 40)).columns, 110)
    page = argparse.ArgumentParser(
        usage=argparse.SUPPRESS,
        description=re.sub(r"python -m launch\.[a-z]+", line, about).strip(),
        add_help=False,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=32, width=width),
    )
    settings = {field.name: field for field in settings_lib.fields()}
    inherited = [field for name, field in settings.items() if name in flags.FLAGS]
    by_module = flags.FLAGS.flags_by_module_dict()
    own = {flag.name: flag for name in (sys.argv[0], module, _SHARED) for flag in by_module.get(name, [])}
    # A flag that stands for a setting is told with the settings.
    group = page.add_argument_group(f"Flags of {command}")
    for name in sorted(own.keys() - settings.keys()):
        _add(group, name, own[name].default, own[name].help)
    if "steps" not in flags.FLAGS:  # it trains nothing
        _add_fields(page, "Settings of the run that it takes", inherited)
    elif everything:
        for name, section in vars(settings_lib.Settings()).items():
            mine = [field for field in dataclasses.fields(section) if field in inherited]
            _add_fields(page, f"{name.upper()}: {section.__doc__.splitlines()[0]}", mine)
        _add_methods(page)
    else:
        from gsda_tf import methods

        everyday = [field for field in inherited if field.metadata["everyday"]]
        _add_fields(page, "Flags of train, of every day", everyday)
        known = f"Methods: {', '.join(methods.method_names())}."
        page.epilog = f"All settings and the options of each method: {line} --help=all\n{textwrap.fill(known, width)}"
    return page.format_help()


def _add_methods(page: argparse.ArgumentParser) -> None:
    """Adds each option under the first method that has it."""
    from gsda_tf import methods

    seen: set[str] = set()
    kinds = [(f"--method={name}", methods.get_method(name)) for name in methods.method_names()]
    kinds += [(f"--add={name}", *methods.get_terms([name])) for name in methods.term_names()]
    for name, kind in kinds:
        fields = {field.name: field for field in dataclasses.fields(kind.Options)}
        title = getattr(kind, "title", "") or (kind.__doc__ or "").strip().splitlines()[0]
        above = ", ".join(f"--{name}" for name in fields if name in seen)
        new = [field for name, field in fields.items() if name not in seen]
        _add_fields(page, f"{name}: {title}{above and f'; as above, {above}'}", new)
        seen.update(fields)


def _add_fields(page: argparse.ArgumentParser, title: str, fields: Iterable[dataclasses.Field]) -> None:
    group = page.add_argument_group(title.rstrip("."))
    for field in fields:
        choices = field.metadata["choices"]
        told = f"{field.metadata['help']} ({', '.join(choices)})" if choices else field.metadata["help"]
        _add(group, field.name, field.default, told + (f"; --no{field.name}: not so" if field.default is True else ""))


def _add(group: argparse._ArgumentGroup, name: str, default: object, told: str) -> None:
    """Adds a flag with its default, and what it means beside it."""
    shown = tuple(default) if isinstance(default, list) else None if isinstance(default, bool) else default
    group.add_argument(settings_lib.flag(name, shown), action="store_true", dest=name, help=told.replace("%", "%%"))
