"""TF_CONFIG, and the job files that set it."""

import glob
import json
import os
import re
import subprocess

import pytest

from gsda_tf.training.distribution import check_tf_config
from tests.launch import commands
from tests.processes import REPOSITORY

_FILES = sorted(path for kind in ("sh", "yaml") for path in glob.glob(f"{REPOSITORY}/docs/clusters/*.{kind}"))


def _commands(folder, **texts):
    """Programs of these names that stand where others would be found."""
    for name, text in texts.items():
        path = folder / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o700)


def test_each_process_of_slurm_is_told_of_all_and_of_its_place(tmp_path):
    _commands(tmp_path, scontrol='printf "node9\\nnode10\\n"', srun='shift; exec "$@"', python='echo "$TF_CONFIG" "$@"')
    for place in (0, 1):
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "SLURM_PROCID": str(place)}
        done = subprocess.run(
            ["bash", f"{REPOSITORY}/docs/clusters/slurm_train.sh"], env=environment, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        config, _, command = done.stdout.partition(" -m ")
        assert check_tf_config(config) == 2 and command.startswith("launch.train --strategy=multi_worker ")
        workers = {"worker": ["node9:10000", "node10:10000"]}
        assert json.loads(config) == {"cluster": workers, "task": {"type": "worker", "index": place}}


@pytest.mark.parametrize("path", _FILES, ids=os.path.basename)
def test_job_files_call_commands_that_are_there_with_flags_that_they_have(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if path.endswith(".sh"):
        assert subprocess.run(["bash", "-n", path]).returncode == 0
        assert text.startswith("#!/bin/bash\n")
        command = re.search(r"-m launch\.(\w+)((?:.|\\\n)*?)(?<!\\)(?:\n|&\n|$)", text)
        module, flags = command[1], re.findall(r"--(\w+)=?(\S*)", command[2])
    else:
        yaml = pytest.importorskip("yaml")
        service, job = yaml.safe_load_all(text)
        spec = job["spec"]
        container = spec["template"]["spec"]["containers"][0]
        assert spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"]
        assert spec["template"]["spec"]["subdomain"] == service["metadata"]["name"]
        assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
        given = {entry["name"]: entry.get("value") for entry in container["env"]}
        for place in range(spec["completions"]):
            text = given["TF_CONFIG"].replace("$(INDEX)", str(place))
            assert check_tf_config(text) == spec["completions"]
            name = f"{job['metadata']['name']}-{place}.{service['metadata']['name']}"
            assert json.loads(text)["cluster"]["worker"][place] == f"{name}:10000"
        assert container["ports"] == [{"containerPort": 10000}]
        module = container["command"][-1].removeprefix("launch.")
        flags = [flag[2:].split("=", 1) for flag in container["args"]]
    known = commands.succeed(module, "--help=all")
    assert flags
    for name, _ in flags:
        assert re.search(rf"^  --{name}\b", known, re.MULTILINE), name
