"""The script of `fresh` in a folder, as a module: `python -m tests.asked FOLDER CODE ARGUMENTS`."""

import os
import sys

if __name__ == "__main__":
    folder, code, *arguments = sys.argv[1:]
    os.chdir(folder)
    exec(code, {"arguments": arguments})
