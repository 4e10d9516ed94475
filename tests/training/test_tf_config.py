"""What job schedulers tell their processes, and what TF_CONFIG becomes of it; the job files in docs/clusters."""

import glob
import json
import os
import re
import subprocess

import pytest

from gsda_tf.errors import UserError
from gsda_tf.training.tf_config import check_tf_config, tf_config
from tests.launch import commands
from tests.processes import REPOSITORY, Process

_FILES = sorted(path for kind in ("sh", "yaml") for path in glob.glob(f"{REPOSITORY}/docs/clusters/*.{kind}"))


def _slurm(rank, nodes="node[1-2]", tasks="1(x2)", count=2, **more):
    return {"SLURM_PROCID": str(rank), "SLURM_STEP_NUM_TASKS": str(count), "SLURM_STEP_NODELIST": nodes,
            "SLURM_STEP_TASKS_PER_NODE": tasks, **more}  # fmt: skip


def _config(monkeypatch, cluster, environment):
    """In a process with these variables; TensorFlow's resolver reads them where the process has them."""
    for name in [name for name in os.environ if name.startswith("SLURM")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    text = tf_config(cluster)
    check_tf_config(text)
    return json.loads(text)


@pytest.mark.parametrize(
    "environment, workers, index",
    [
        (_slurm(1), ["node1:10000", "node2:10000"], 1),
        (_slurm(2, tasks="2(x2)", count=4), ["node1:10000", "node1:10001", "node2:10000", "node2:10001"], 2),
        (_slurm(0, "a,b[07-08]", "1(x3)", 3), ["a:10000", "b07:10000", "b08:10000"], 0),
        (_slurm(1, SLURM_JOB_ID="7", SLURMD_NODENAME="node2"), ["node1:10448", "node2:10448"], 1),
    ],
)
def test_slurm(environment, workers, index, monkeypatch):
    config = _config(monkeypatch, "slurm", environment)
    assert config == {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}


def test_nodes_that_sort_otherwise_than_slurm_counts_are_refused(monkeypatch):
    with pytest.raises(UserError, match=r"--cluster=slurm: .*process 1 to be on node8, but it is on node9"):
        _config(monkeypatch, "slurm", _slurm(1, "node[8-10]", "1(x3)", 3, SLURMD_NODENAME="node9"))


def test_kubernetes(monkeypatch):
    environment = {"JOB_COMPLETION_INDEX": "2", "WORKERS": "3", "SERVICE": "gsda", "HOSTNAME": "gsda-train-2"}
    config = _config(monkeypatch, "kubernetes", environment)
    workers = [f"gsda-train-{i}.gsda:10000" for i in range(3)]
    assert config == {"cluster": {"worker": workers}, "task": {"type": "worker", "index": 2}}


@pytest.mark.parametrize(
    "cluster, environment, expected",
    [
        ("slurm", {}, "SLURM_PROCID not found in environment"),
        ("slurm", {**_slurm(0), "SLURM_STEP_NODELIST": "a[1"}, "Invalid hostlist format"),
        ("slurm", _slurm(0, count=3), "Requested 3 tasks but only 2"),
        ("slurm", _slurm("x"), "invalid literal"),
        ("kubernetes", {}, "JOB_COMPLETION_INDEX is not set"),
        ("kubernetes", {"JOB_COMPLETION_INDEX": "0", "WORKERS": "two"}, "invalid literal"),
        ("kubernetes", {"JOB_COMPLETION_INDEX": "0", "WORKERS": "2", "HOSTNAME": "pod-a8x", "SERVICE": "s"}, "pod-a8x"),
    ],
)
def test_what_is_missing_is_told(cluster, environment, expected, monkeypatch):
    with pytest.raises(UserError, match=rf"^--cluster={cluster}: .*{expected}.* Expected a process of such a job: see"):
        _config(monkeypatch, cluster, environment)


def test_two_local_processes_of_slurm_find_each_other():
    """As `srun` starts them on one node: two workers that sum something. Without `part` one leaves the other behind."""
    job = str(os.getpid() % 300)  # which says the port
    variables = [_slurm(rank, "localhost", "2", SLURM_JOB_ID=job, SLURMD_NODENAME="localhost") for rank in range(2)]
    workers = [Process("tests.training.job_run", [], environment) for environment in variables]
    said = [worker.communicate(120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert [stdout.strip() for stdout, _ in said] == ["2 workers, sum 3.0"] * 2


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
        given = {entry["name"]: entry["value"] for entry in container["env"]}
        assert given == {"WORKERS": str(spec["completions"]), "SERVICE": service["metadata"]["name"]}
        assert container["ports"] == [{"containerPort": 10000}]
        module = container["command"][-1].removeprefix("launch.")
        flags = [flag[2:].split("=", 1) for flag in container["args"]]
    known = commands.succeed(module, "--help=all")
    assert flags
    for name, _ in flags:
        assert re.search(rf"^  --{name}\b", known, re.MULTILINE), name
