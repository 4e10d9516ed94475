"""The method that docs/methods.md shows, run as a user runs it."""

import json
import os
import re

from tests.launch import commands
from tests.processes import REPOSITORY


def test_the_method_of_the_docs_is_trained_with_its_option_and_asked_for_again(tmp_path):
    with open(os.path.join(REPOSITORY, "docs", "methods.md"), encoding="utf-8") as file:
        (code,) = re.findall(r"```python\n(# mine\.py\n.*?)```", file.read(), re.DOTALL)
    path, run = tmp_path / "mine.py", tmp_path / "run"
    path.write_text(code)
    flags = [*commands.TINY, "--task=digits/Fo_Ha", "--noexport", "--noreport", f"--workdir={run}", "--steps=4"]
    commands.succeed("train", *flags, f"--method={path}:Mine", "--mine_weight=0.7")
    assert json.loads((run / "settings.json").read_text())["settings"]["mine_weight"] == 0.7
    assert json.loads((run / "summary.json").read_text())["method"] == "mine"
    assert f"say --method={path}:Mine if you trust it" in commands.fail("evaluate", f"--workdir={run}")
    assert "accuracy/target" in commands.succeed("evaluate", f"--workdir={run}", f"--method={path}:Mine")
    assert "Unknown flag --mine_weight" in commands.fail("train", *flags, "--method=mcc", "--mine_weight=0.7")
