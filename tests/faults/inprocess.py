"""Commands in the process of the test: a case costs no new process."""

import contextlib
import importlib
import io
import logging
import os

from absl import flags as absl_flags

from launch import flags

# Smallest networks, so that input that should be refused, and is not, fails soon.
SMALL = (
    "--extractor=small_cnn", "--weights=none", "--image_size=16", "--resize_size=16", "--steps=1", "--nodeterministic",
    "--discriminator_units=4", "--bottleneck_units=4", "--num_groups=1", "--source_batch=2", "--target_batch=2",
    "--noexport", "--noreport",
)  # fmt: skip


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and standard error of `launch.train ARGUMENTS`."""
    code, _, told = command("train", *arguments)
    return code, told


def command(name: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `launch.NAME ARGUMENTS`."""
    said, told = io.StringIO(), io.StringIO()
    module = importlib.import_module(f"launch.{name}")
    values, log = absl_flags.FLAGS, logging.getLogger("absl")
    level = log.level
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(said):
        try:
            code = flags.call(module.main, flags.parse([name, *arguments]))
        except SystemExit as ended:
            code = int(ended.code)
        finally:
            for name in values:
                values[name].unparse()
            values.unparse_flags()
            log.setLevel(level)  # parsing sets it
    return code, said.getvalue(), told.getvalue()


def succeed(name: str, *arguments: str) -> str:
    """What `launch.NAME ARGUMENTS` prints; fails the test if it fails."""
    code, said, told = command(name, *arguments)
    assert code == 0, told
    return said


def refuse(*arguments: str) -> str:
    """The one line in which wrong input is refused; fails the test if it is more, or if anything else happens."""
    code, told = run(*arguments)
    assert code not in (0, 1), told
    assert "Traceback" not in told
    lines = [line for line in told.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("Error: ") and lines[0].isprintable(), told
    return lines[0]


def tree(top) -> dict[str, bytes]:
    """Every file below a folder and what it holds; links by where they lead."""
    found = {}
    for folder, folders, names in os.walk(top):
        for name in [*names, *folders]:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                found[path] = os.fsencode(os.readlink(path))
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found[path] = file.read()
    return found
