"""All commands as one: `gsda COMMAND FLAGS` where the package is installed, `python -m launch COMMAND FLAGS` here."""

import ast
import importlib
import os
import pkgutil
import sys

from gsda_tf.errors import choose

from . import __path__ as folders
from . import flags


def main() -> None:
    """Runs the command that the first argument names, or lists all."""
    names = [found.name for found in pkgutil.iter_modules(folders) if found.name not in ("__main__", "flags", "help")]
    name = sys.argv[1] if len(sys.argv) > 1 else "help"
    if name in ("help", "-h", "--help"):
        print("gsda COMMAND [--FLAG=VALUE ...]\n")
        for each in names:
            with open(os.path.join(folders[0], f"{each}.py"), encoding="utf-8") as file:
                says = ast.get_docstring(ast.parse(file.read())).splitlines()[0].partition(": `")[0].rstrip(".")
            print(f"  {each:<{max(map(len, names))}}  {says}")
        print("\n`gsda COMMAND --help` tells the flags of a command.")
    elif name not in names:
        sys.exit(flags.call(lambda: choose("command", name, names), [name]))
    else:
        sys.argv[:2] = [f"gsda {name}"]
        flags.run(importlib.import_module(f"{__package__}.{name}").main)


if __name__ == "__main__":
    main()
