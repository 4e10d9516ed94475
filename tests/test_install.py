"""The package as pip installs it: one wheel, one command, from a folder that is not the repository."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from tests.launch.commands import TINY, summary
from tests.processes import REPOSITORY


@pytest.fixture(scope="session")
def wheel(shared) -> str:
    """The wheel, built from a copy: building writes beside the sources."""

    def make(folder: str) -> None:
        source = os.path.join(folder, "source")
        for name in ("gsda_tf", "launch"):
            shutil.copytree(os.path.join(REPOSITORY, name), os.path.join(source, name))
        for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
            shutil.copy(os.path.join(REPOSITORY, name), source)
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)

    (found,) = glob.glob(os.path.join(shared("wheel", make), "*.whl"))
    return found


def _pip(*arguments) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def installed(wheel, shared, tmp_path_factory):
    """Programs of an environment that has the package, run in a folder of its own: (arguments) -> what it prints."""

    def make(venv: str) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        # What the package needs is seen where it is, which installing it anew would take minutes for.
        packages = {key: path.replace(sys.prefix, venv) for key, path in sysconfig.get_paths().items()}
        with open(os.path.join(packages["purelib"], "needs.pth"), "w") as file:
            file.write(sysconfig.get_paths()["purelib"] + "\n")
        _pip("--python", os.path.join(venv, "bin", "python"), "install", "--no-deps", wheel)

    programs = os.path.join(shared("venv", make), "bin")
    folder = tmp_path_factory.mktemp("elsewhere")

    def run(program: str, *arguments: str, code: int = 0) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        command = [os.path.join(programs, program), *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    run.folder = folder
    return run


def test_the_wheel_holds_this_package_alone_with_what_it_reads(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"gsda_tf"}
    data = {"classes.csv", "published.csv", "CITATIONS.bib", "README.md", "checksums.tsv", "style.css"}
    sources = {
        os.path.relpath(os.path.join(folder, name), REPOSITORY).replace("launch/", "gsda_tf/launch/")
        for top in ("gsda_tf", "launch")
        for folder, _, files in os.walk(os.path.join(REPOSITORY, top))
        for name in files
        if name.endswith((".py", ".html")) or name in data
    }
    assert sources <= names


def test_trains_exports_and_reports(installed):
    """By the sweep, which starts launch.train, which starts a process for its export."""
    flags = ["--benchmark=digits", "--tasks=Fo_Ha", "--methods=source_only", "--seeds=0", "--export", "--report"]
    assert "Fo→Ha" in installed("gsda", "sweep", *flags, *TINY, "--steps=2")
    sweep = installed.folder / "sweeps" / "digits"
    run = sweep / "digits" / "Fo_Ha" / "source_only" / "seed0"
    assert (sweep / "results.csv").exists() and (run / "report.html").exists()
    assert summary(run)["step"] == 2 and (run / "export" / "1" / "saved_model.pb").exists()


def test_lists_its_commands(installed):
    said = installed("gsda", "help")
    for name in ("train", "predict", "sweep", "evaluate", "export", "inspect", "report"):
        assert f"  {name} " in said
    assert "gsda train --help" in installed("gsda", "train", "--no_such_flag=1", code=2)


_ALL = """
import importlib, pkgutil, sys
import gsda_tf
from gsda_tf.launch import flags
assert gsda_tf.__file__.startswith(sys.prefix), gsda_tf.__file__
for module in pkgutil.walk_packages(gsda_tf.__path__, "gsda_tf."):
    # Two commands may have a flag of the same name; TensorFlow Addons is not installed everywhere.
    if not module.name.startswith(("gsda_tf.launch.", "gsda_tf.data.augmentation_addons")):
        importlib.import_module(module.name)
from gsda_tf.launch import train
assert flags.call(train.main, flags.parse(["train", "--task=office31/A_W", "--weights=none", "--data_dir=."])) == 2
sys.exit(3)
"""


def test_every_module_is_there_with_what_it_needs(installed):
    """Each is imported; a builder of a data set is found, and says what it lacks."""
    said = installed("python", "-c", _ALL, code=3)
    assert "domain_adaptation_images.tar.gz" in said
