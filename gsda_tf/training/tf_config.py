"""TF_CONFIG: what it has to be for `--cluster`, and whether it can be used."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from gsda_tf.errors import UserError
from gsda_tf.runs.contents import fits

_FIRST_PORT, _PORTS = 10_000, 20_000
_MANY = 2**20
EXPECTED = (
    'Expected TF_CONFIG to hold JSON with "cluster": {"worker": ["host:port", ...]} and "task": {"type": "worker", '
    '"index": i}, the same cluster on every worker, each address once, and i the place of this worker in it, from 0 on.'
)
_JOBS = ("chief", "worker")
_SHOWN = 300


def tf_config(cluster: str, environment: Mapping[str, str] = os.environ) -> str:
    """Returns what TF_CONFIG has to be in this process.

    Args:
      cluster: "tf_config": it is set already. "slurm": started by `srun`, one process a worker. "kubernetes": a pod of
        a Job with `completionMode: Indexed`, with the number of its pods in WORKERS and the name of their headless
        service in SERVICE.
      environment: variables of this process.

    Raises:
      UserError: variables that such a process has are not there.
    """
    if cluster == "tf_config":
        return environment.get("TF_CONFIG", "")
    try:
        resolver = {"slurm": _slurm, "kubernetes": _kubernetes}[cluster](environment)
        spec = resolver.cluster_spec().as_dict()
    except (RuntimeError, KeyError, ValueError) as error:
        what = f"{error.args[0]} is not set" if isinstance(error, KeyError) else str(error).splitlines()[0].rstrip(".")
        raise UserError(f"--cluster={cluster}: {what}. Expected a process of such a job: see docs/clusters.") from error
    task = {"type": resolver.task_type, "index": resolver.task_id}
    return json.dumps({"cluster": spec, "task": task})


def check_tf_config(text: str) -> int:
    """Makes sure that TF_CONFIG describes a cluster and this process's place in it.

    Args:
      text: value of the environment variable TF_CONFIG.

    Returns:
      How many processes train.

    Raises:
      UserError: what is wrong with it.
    """
    try:
        config = json.loads(text)
    except ValueError:
        config = None
    if fits(config, {"cluster": {str: [_is_address]}, "task": {"type": str, "index": int}}):
        cluster, task = config["cluster"], config["task"]
        addresses = [address for job in cluster.values() for address in job]
        known = set(cluster) <= set(_JOBS) and all(cluster.values()) and len(set(addresses)) == len(addresses)
        if known and task["index"] in range(len(cluster.get(task["type"], ()))):
            return len(addresses)
    found = f"it is {text[:_SHOWN]}" if text.strip() else "it is not set"
    raise UserError(f"--strategy=multi_worker cannot use TF_CONFIG: {found}. {EXPECTED}")


def _is_address(value: Any) -> bool:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return bool(host and re.fullmatch(r"[0-9]{1,5}", port)) and 0 < int(port) < 65536


def _slurm(environment: Mapping[str, str]) -> tf.distribute.cluster_resolver.ClusterResolver:
    # Slurm gives each process its GPUs itself; jobs that share a node get ports of their own.
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=_FIRST_PORT + int(environment.get("SLURM_JOB_ID", "0")) * 64 % _PORTS,
        gpus_per_node=_MANY,
        gpus_per_task=1,
        auto_set_gpu=False,
    )
    own = resolver.cluster_spec().task_address(*resolver.get_task_info()).rpartition(":")[0]
    node = environment.get("SLURMD_NODENAME", own)
    if node != own:
        # The resolver sorts nodes by name, as text, and Slurm counts its processes by their numbers.
        raise ValueError(
            f"TensorFlow takes process {environment['SLURM_PROCID']} to be on {own}, but it is on {node}: use nodes "
            "whose names sort in the order of their numbers (--nodelist), or set TF_CONFIG"
        )
    return resolver


def _kubernetes(environment: Mapping[str, str]) -> tf.distribute.cluster_resolver.ClusterResolver:
    # KubernetesClusterResolver asks the API server, with rights that a pod has not, and does not know its own place.
    index, workers = int(environment["JOB_COMPLETION_INDEX"]), int(environment["WORKERS"])
    job, suffix = environment["HOSTNAME"], f"-{index}"
    if not job.endswith(suffix):
        raise ValueError(f"HOSTNAME is {job}, which does not end in {suffix}, as an indexed pod's does")
    job = job[: -len(suffix)]
    addresses = [f"{job}-{i}.{environment['SERVICE']}:{_FIRST_PORT}" for i in range(workers)]
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}), task_type="worker", task_id=index
    )
