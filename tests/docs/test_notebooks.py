"""The notebooks run, in a few steps, and what they keep is what they show."""

import json
import os
import re
import signal

import nbformat
import pytest

from tests.docs import notebooks
from tests.processes import REPOSITORY


@pytest.fixture(scope="session")
def kernel():
    with notebooks.kernel() as running:
        yield running


@pytest.mark.parametrize("path", notebooks.PATHS, ids=os.path.basename)
def test_runs_and_keeps_what_it_shows(path, kernel, tmp_path):
    kept = nbformat.read(path, as_version=4)
    nbformat.validate(kept)
    interrupted = signal.getsignal(signal.SIGINT)
    ran = notebooks.execute(path, kernel, str(tmp_path), steps=2)
    signal.signal(signal.SIGINT, interrupted)  # nbclient leaves Python's own, also where it was ignored
    notebooks.tidy(ran)
    assert [_kinds(cell) for cell in kept.cells] == [_kinds(cell) for cell in ran.cells]
    assert any("image/png" in kinds for cell in kept.cells for kinds in _kinds(cell))


def _kinds(cell) -> list[set[str]]:
    return [set(output.data) for output in cell.get("outputs", ())]


@pytest.mark.parametrize("path", notebooks.PATHS, ids=os.path.basename)
def test_is_small_and_tells_nothing_of_a_machine(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert len(text) < 300_000
    shown = json.dumps([cell.get("outputs") for cell in json.loads(text)["cells"]])
    assert not re.search(r"/(?:tmp|home|root|usr|work)/|Warning|\d\d:\d\d:\d\d", shown)


def test_there_is_one_for_each_beginning():
    names = {os.path.basename(path)[: -len(".ipynb")] for path in notebooks.PATHS}
    assert {"quickstart", "own_folders", "features", "partial", "serving", "own_method"} <= names
    assert all(os.path.dirname(path) == f"{REPOSITORY}/docs" for path in notebooks.PATHS)


def test_the_site_shows_each():
    with open(os.path.join(REPOSITORY, "mkdocs.yml"), encoding="utf-8") as file:
        site = file.read()
    assert [path for path in notebooks.PATHS if f"docs/{os.path.basename(path)}\n" not in site] == []
