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
def gsda(wheel, shared, tmp_path_factory):
    """The installed command, run in a folder of its own: (arguments) -> what it prints."""

    def make(venv: str) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        # What the package needs is seen where it is, which installing it anew would take minutes for.
        packages = {key: path.replace(sys.prefix, venv) for key, path in sysconfig.get_paths().items()}
        with open(os.path.join(packages["purelib"], "needs.pth"), "w") as file:
            file.write(sysconfig.get_paths()["purelib"] + "\n")
        _pip("--python", os.path.join(venv, "bin", "python"), "install", "--no-deps", wheel)

    command = os.path.join(shared("venv", make), "bin", "gsda")
    folder = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments: str, code: int = 0) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [command, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
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


def test_trains_predicts_and_sweeps(gsda):
    tiny = [*TINY, "--steps=4"]
    gsda("train", "--workdir=run", "--noreport", *tiny)
    assert summary(gsda.folder / "run")["step"] == 4
    (exported,) = (gsda.folder / "run" / "export").iterdir()
    image = gsda.folder / "image.png"
    from PIL import Image

    Image.new("RGB", (8, 8)).save(image)
    gsda("predict", f"--model={exported}", f"--images={image}", "--output=rows.csv")
    assert "image.png" in (gsda.folder / "rows.csv").read_text()
    said = gsda(
        "sweep", "--benchmark=digits", "--tasks=Fo_Ha", "--methods=source_only", "--seeds=0", *TINY, "--steps=4"
    )
    assert "Fo→Ha" in said and (gsda.folder / "sweeps" / "digits" / "results.csv").exists()


def test_lists_its_commands(gsda):
    said = gsda("help")
    for name in ("train", "predict", "sweep", "evaluate", "export", "inspect", "report", "benchmark"):
        assert f"  {name} " in said
    assert "'train'" in gsda("trian", code=2)
    assert "gsda train --help" in gsda("train", "--no_such_flag=1", code=2)
    assert "not installed with the package" in gsda("benchmark", code=2)


def test_builders_are_found(gsda):
    said = gsda("train", "--task=office31/A_W", "--weights=none", f"--data_dir={gsda.folder}", code=2)
    assert "domain_adaptation_images.tar.gz" in said
