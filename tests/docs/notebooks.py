"""Runs the notebooks of docs/. `python -m tests.docs.notebooks` runs all, and keeps what they show."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import sys
import tempfile
from collections.abc import Iterator

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from tests.processes import REPOSITORY

PATHS = sorted(glob.glob(f"{REPOSITORY}/docs/*.ipynb"))


@contextlib.contextmanager
def kernel() -> Iterator[KernelManager]:
    """A process that notebooks are run in, one after the other: importing TensorFlow takes longer than most of them."""
    environment = {**os.environ, "PYTHONPATH": REPOSITORY, "TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": ""}
    # Sockets lie in the working folder otherwise, where another kernel has its own.
    with tempfile.TemporaryDirectory() as sockets:
        manager = KernelManager(kernel_name="python3", transport="ipc", ip=os.path.join(sockets, "kernel"))
        manager.kernel_spec.argv[0] = sys.executable
        manager.start_kernel(env=environment)
        try:
            yield manager
        finally:
            manager.shutdown_kernel(now=True)


def execute(path: str, manager: KernelManager, folder: str, steps: int | None = None) -> nbformat.NotebookNode:
    """Runs a notebook in a folder.

    Args:
      path: of the notebook.
      manager: of the kernel.
      folder: where it is run.
      steps: in place of those that it says.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    if steps is not None:
        for cell in notebook.cells:
            cell.source = re.sub(r"^STEPS = \d+", f"STEPS = {steps}", cell.source, flags=re.MULTILINE)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(f"import os\nos.chdir({folder!r})\n%reset -f"))
    NotebookClient(notebook, timeout=600, km=manager).execute()
    del notebook.cells[0]
    return notebook


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Leaves of what cells show the values and pictures: what is printed on the way is about this machine and hour."""
    notebook.metadata = {"language_info": {"name": "python"}}
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.metadata, cell.execution_count = {}, number + 1
        cell.outputs = [output for output in cell.outputs if output.output_type in ("display_data", "execute_result")]
        for output in cell.outputs:
            output.metadata = {}
            if "execution_count" in output:
                output.execution_count = number + 1


if __name__ == "__main__":
    with kernel() as running:
        for name in sys.argv[1:] or PATHS:
            with tempfile.TemporaryDirectory() as place:
                ran = execute(name, running, place)
            tidy(ran)
            nbformat.write(ran, name)
            print(name, os.path.getsize(name))
